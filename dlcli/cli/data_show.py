"""`dlcli data show`."""

from pathlib import Path
from typing import Annotated

import typer

from dlcli.cli.options import DataFile, Json
from dlcli.cli.output import print_json
from dlcli.cli.output import show as show_on_stdout


def show(
    file: DataFile,
    columns: Annotated[
        int, typer.Option(metavar="N", min=0, help="How many columns of a field are shown one by one.")
    ] = 20,
    full: Annotated[
        bool, typer.Option("--full", help="Read all rows of large fields, too, rather than some from everywhere.")
    ] = False,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write it as one page, which needs nothing else.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Describe a dataset: splits, fields, values, classes, images; and layouts that will be slow."""
    from dlcli.data.describe import describe
    from dlcli.experiment.output_file import check_output
    from dlcli.report.dataset import description_view
    from dlcli.report.dataset_page import write_page

    if html is not None:
        check_output(html, file, option="--html")
    description = describe(file, full=full, pictures=10)
    if html is not None:
        write_page(description, html, columns)
    if as_json:
        print_json(description.as_json())
    else:
        show_on_stdout(description_view(description, columns))
