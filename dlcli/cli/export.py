"""`dlcli export`."""

from pathlib import Path
from typing import Annotated

import typer

from dlcli.cli import completion
from dlcli.cli.options import Json, Quiet, Runs
from dlcli.cli.output import print_json, show


def export(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="Run directory, NAME/0001, or NAME for its latest run; RUN@fold-3 for a member of it.",
            autocompletion=completion.run_names,
        ),
    ],
    format: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="pt2, onnx, aoti, safetensors, or a plugin's: dlcli plugins list --kind exporter.",
            autocompletion=completion.exporters,
        ),
    ] = "pt2",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="PATH", help="Where to leave it.", show_default="exports/ in the run's directory"
        ),
    ] = None,
    quantize: Annotated[
        str | None, typer.Option(metavar="int8", help="Store weights, and compute, in 8 bits (onnx).")
    ] = None,
    calibrate: Annotated[
        int | None,
        typer.Option(metavar="ROWS", help="With --quantize: fix the scales of activations by so many training rows."),
    ] = None,
    max_drop: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="With --quantize: accuracy (regression: R²) that may be lost on val rows.",
            show_default="0.01",
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Set a parameter of the format; may be repeated."),
    ] = None,
    bench: Annotated[
        bool, typer.Option("--bench", help="Measure latency and throughput beside the source, pt2 and onnx.")
    ] = False,
    data: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where the run's data is now, if it has moved.")
    ] = None,
    runs: Runs = Path("runs"),
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Write a run's model as one artefact that others can run, preprocessing and all members in it.

    It is left only if it says what the run says, on validation rows and edge cases.
    """
    from dlcli.experiment.export import export as export_run
    from dlcli.experiment.exporting.exporter_choice import parameters_of
    from dlcli.report.export import export_view

    found = export_run(
        run,
        format=format,
        parameters=parameters_of(quantize, calibrate, settings or ()),
        output=output,
        max_drop=max_drop,
        bench=bench,
        data=data,
        runs=runs,
    )
    if as_json:
        print_json(found.as_json())
    elif not quiet:
        show(export_view(found))
