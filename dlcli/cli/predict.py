"""`dlcli predict`."""

from pathlib import Path
from typing import Annotated

import typer

from dlcli.cli import completion
from dlcli.cli.options import Device, Json, Quiet, Runs
from dlcli.cli.output import print_json, show, stderr_console, stdout_console


def predict(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="Run directory, NAME/0001, or NAME for its latest run; RUN@fold-3 for a member of it; or what dlcli "
            "export left, such as model.onnx.",
            autocompletion=completion.run_names,
        ),
    ],
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help="HDF5 file, or what dlcli data import reads; it needs no target.")
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write the answers: .h5, .hdf5, .csv or .jsonl."),
    ] = None,
    format: Annotated[
        str | None, typer.Option(metavar="IMPORTER", help="Which importer reads it.", show_default="by the file")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="A parameter of the importer, where it is not as the training data was imported; may be repeated.",
        ),
    ] = None,
    split: Annotated[
        str,
        typer.Option(
            metavar="train|val|test|all", help="Which rows of the file.", autocompletion=completion.splits_of_files
        ),
    ] = "all",
    explain: Annotated[
        int, typer.Option(metavar="N", help="Show the N most and the N least certain answers, too.")
    ] = 0,
    shown: Annotated[
        int | None,
        typer.Option("--show", metavar="N", help="Show the first N answers.", show_default="20, or 0 with -o"),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="How many rows are computed at once.", show_default="1024, fewer where rows are large"
        ),
    ] = None,
    device: Device = None,
    runs: Runs = Path("runs"),
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Predict the rows of a file: classes with probabilities, or targets."""
    from dlcli.experiment.importing.importer_choice import parameters_of
    from dlcli.experiment.predict import predict as predict_rows
    from dlcli.report.prediction import prediction_view
    from dlcli.report.prediction_progress import PredictionProgress

    console = stderr_console() if as_json else stdout_console()
    with PredictionProgress(console, quiet=quiet) as progress:
        prediction = predict_rows(
            run,
            data,
            output=output,
            format=format,
            settings=parameters_of(settings or ()),
            split=split,
            explain=explain,
            show=shown,
            batch_size=batch_size,
            device=device,
            runs=runs,
            progress=progress,
        )
    if as_json:
        print_json(prediction.as_json())
    elif not quiet:
        show(prediction_view(prediction))
