"""`dlcli evaluate`."""

from pathlib import Path
from typing import Annotated

import typer

from dlcli.cli import completion
from dlcli.cli.options import Device, Json, Runs
from dlcli.cli.output import print_json, show


def evaluate(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="Run directory, NAME/0001, or NAME for its latest run; RUN@fold-3 for a member of it.",
            autocompletion=completion.run_names,
        ),
    ],
    data: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Another HDF5 file of the same fields.", show_default="the run's own"),
    ] = None,
    split: Annotated[
        str,
        typer.Option(
            metavar="train|val|test|all|fold",
            help="Which rows; fold: those that a fold's model has not seen.",
            autocompletion=completion.splits,
        ),
    ] = "test",
    device: Device = None,
    runs: Runs = Path("runs"),
    as_json: Json = False,
) -> None:
    """Compute a run's loss and metrics on a split."""
    from dlcli.experiment.evaluate import evaluate as evaluate_run
    from dlcli.report.evaluation import evaluation_view

    evaluation = evaluate_run(run, data=data, split=split, device=device, runs=runs)
    if as_json:
        print_json(evaluation.as_json())
    else:
        show(evaluation_view(evaluation))
