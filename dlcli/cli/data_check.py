"""`dlcli data check`."""

import typer

from dlcli.cli.options import DataFile, Json, Quiet
from dlcli.cli.output import print_json, show
from dlcli.errors import DataError


def check(file: DataFile, quiet: Quiet = False, as_json: Json = False) -> None:
    """Find problems in a dataset before training does.

    Leaves with exit code 3 where training would refuse the data.
    """
    from dlcli.data.check import check as check_file
    from dlcli.report.dataset import findings_view

    findings = check_file(file)
    if as_json:
        print_json({"file": str(file), "findings": [finding.as_json() for finding in findings]})
    elif not quiet:
        show(findings_view(findings, file))
    if any(finding.level == "error" for finding in findings):
        raise typer.Exit(DataError.exit_code)
