"""`dlcli data show`."""

from dlcli.cli.options import DataFile, Json
from dlcli.cli.output import print_json
from dlcli.cli.output import show as show_on_stdout


def show(file: DataFile, as_json: Json = False) -> None:
    """Describe a dataset: splits, fields, what they are for, classes."""
    from dlcli.data.describe import describe
    from dlcli.report.dataset import description_view

    description = describe(file)
    if as_json:
        print_json(description.as_json())
    else:
        show_on_stdout(description_view(description))
