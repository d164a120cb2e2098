"""`dlcli data check`."""

from dlcli.cli.options import DataFile, Json, Quiet
from dlcli.cli.output import print_json, show

BAD_DATA = 3


def check(file: DataFile, quiet: Quiet = False, as_json: Json = False) -> None:
    """Find problems in a dataset before training does; leaves with 3 where training would fail or mislead."""
    from dlcli.data.check import check as check_file
    from dlcli.report.dataset import findings_view

    findings = check_file(file)
    if as_json:
        print_json({"file": str(file), "findings": [finding.as_json() for finding in findings]})
    elif not quiet:
        show(findings_view(findings, file))
