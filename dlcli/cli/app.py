"""The entry point `dlcli`: puts the commands together, and is the one place where errors become messages and codes."""

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from dlcli.cli import (
    build,
    data_check,
    data_folds,
    data_import,
    data_repack,
    data_show,
    ensemble,
    evaluate,
    export,
    init,
    plugins_doctor,
    plugins_list,
    plugins_new,
    plugins_show,
    predict,
    runs,
    schema,
    train,
    tune,
)
from dlcli.cli.interrupts import Commands, WritingCommand
from dlcli.cli.options import with_values
from dlcli.cli.output import tell_error, tell_fault, warn
from dlcli.errors import DlcliError, Interrupted


def make_app() -> typer.Typer:
    """Return the commands of dlcli itself, without those of plugins."""
    app = typer.Typer(
        cls=Commands,
        help="A command-line laboratory for deep learning: a TOML recipe, an HDF5 dataset, one command.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_global_options)
    app.command("init")(init.init)
    app.command("build")(build.build)
    app.command("train")(train.train)
    app.command("tune")(tune.tune)
    app.command("ensemble")(ensemble.ensemble)
    app.command("evaluate")(evaluate.evaluate)
    app.command("predict", cls=WritingCommand)(predict.predict)
    app.command("export", cls=WritingCommand)(export.export)
    app.command("runs")(runs.runs)
    app.command("schema")(schema.schema)
    data = typer.Typer(help="Look into datasets and find problems before training does.", no_args_is_help=True)
    data.command("import", cls=WritingCommand)(data_import.import_)
    data.command("show", cls=WritingCommand)(data_show.show)
    data.command("check")(data_check.check)
    data.command("folds", cls=WritingCommand)(data_folds.folds)
    data.command("repack", cls=WritingCommand)(data_repack.repack)
    app.add_typer(data, name="data")
    plugins = typer.Typer(help="See what is installed and by whom; start a package of your own.", no_args_is_help=True)
    plugins.command("list")(plugins_list.list_)
    plugins.command("show")(plugins_show.show)
    plugins.command("doctor")(plugins_doctor.doctor)
    plugins.command("new")(plugins_new.new)
    app.add_typer(plugins, name="plugins")
    return app


def main() -> None:
    """Run the command line and leave with its exit code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command line.

    Args:
        arguments: The words after `dlcli`. `--debug` counts wherever it stands, so it is taken out here.

    Returns:
        The exit code: 0 done, 1 a fault of dlcli or a reader that closed the pipe, 2 usage or recipe, 3 data,
        4 plugin, 5 training failed, 130 interrupted.
    """
    debug = "--debug" in arguments
    as_json = "--json" in arguments
    try:
        code = _dispatch(with_values([argument for argument in arguments if argument != "--debug"]))
        sys.stdout.flush()
    except DlcliError as error:
        tell_error(error, as_json=as_json, debug=debug)
        return error.exit_code
    except KeyboardInterrupt:
        warn("interrupted")
        return Interrupted.exit_code
    except OSError as error:
        if error.filename is not None:
            tell_fault(error, as_json=as_json, debug=debug)
            return 1
        # Stdout is closed or full. Python flushes it once more at its end and would complain about it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            warn(f"cannot write the output: {error.strerror}")
        return 1
    except Exception as error:
        tell_fault(error, as_json=as_json, debug=debug)
        return 1
    return code


def _dispatch(arguments: list[str]) -> int:
    # Imported here, so that importing this module (for the reference pages, say) loads no plugin.
    from dlcli.cli.third_party import add_plugin_commands

    app = make_app()
    warnings = add_plugin_commands(app)
    if "_DLCLI_COMPLETE" not in os.environ:
        # A warning in the middle of a half-typed line would only garble it.
        for warning in warnings:
            warn(warning)
    try:
        typer.main.get_command(app)(args=arguments, prog_name="dlcli")
    except SystemExit as leaving:
        if isinstance(leaving.code, str):
            raise
        return leaving.code or 0
    return 0


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"dlcli {version('dlcli')}")
        raise typer.Exit


def _global_options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks; counts anywhere on the line.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Declare what every command takes; `run` has acted on both before."""
