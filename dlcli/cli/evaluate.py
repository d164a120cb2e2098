"""`dlcli evaluate`."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from dlcli.cli import completion
from dlcli.cli.options import Device, Json, Runs
from dlcli.cli.output import print_json, show, warn
from dlcli.errors import StorageError, UsageError


def evaluate(
    run: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN",
            help="Run directory, NAME/0001, or NAME for its latest run; RUN@fold-3 for a member of it. With --compare, "
            "two of them.",
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
    compare: Annotated[
        bool, typer.Option("--compare", help="Compare two runs on the same rows: does their difference mean anything?")
    ] = False,
    ci: Annotated[
        float, typer.Option(metavar="PERCENT", help="Level of confidence intervals, from 50 to 99.9; 0 for none.")
    ] = 95.0,
    worst: Annotated[
        int | None,
        typer.Option(metavar="N", help="How many of the rows with the highest loss are shown.", show_default="5"),
    ] = None,
    device: Device = None,
    runs: Runs = Path("runs"),
    as_json: Json = False,
) -> None:
    """Compute a run's loss and metrics on a split, and where it errs; or compare two runs.

    All figures and a picture are also left in the run's folder evaluations/.
    """
    from dlcli.experiment.evaluate import WORST
    from dlcli.experiment.evaluate import evaluate as evaluate_run
    from dlcli.experiment.evaluation.compare import compare as compare_runs
    from dlcli.experiment.evaluation.files import write_comparison, write_evaluation
    from dlcli.report.evaluation import evaluation_view
    from dlcli.report.evaluation_comparison import comparison_view

    if len(run) != 1 + compare:
        wanted = "--compare takes two runs" if compare else "it takes one run; two are compared with --compare"
        raise UsageError(f"dlcli evaluate: {wanted}, got {len(run)}: {', '.join(run)}")
    if compare:
        if worst is not None:
            raise UsageError("--worst is for one run; leave it out with --compare, or evaluate each run by itself")
        comparison = compare_runs(*run, data=data, split=split, device=device, runs=runs, ci=ci)
        print_json(comparison.as_json()) if as_json else show(comparison_view(comparison))
        _leave(lambda: write_comparison(comparison), quiet=as_json)
    else:
        shown = WORST if worst is None else worst
        evaluation = evaluate_run(run[0], data=data, split=split, device=device, runs=runs, ci=ci, worst=shown)
        print_json(evaluation.as_json()) if as_json else show(evaluation_view(evaluation))
        _leave(lambda: write_evaluation(evaluation), quiet=as_json)


def _leave(write: Callable[[], tuple[Path, ...]], *, quiet: bool) -> None:
    """Write files and say where; where they cannot be written, the figures were still printed."""
    from dlcli.report.layout import line

    try:
        files = write()
    except StorageError as error:
        warn(f"the figures were not kept: {error}")
        return
    if not quiet:
        show("")
        for place, file in enumerate(files):
            show(line("" if place else "kept", str(file)))
