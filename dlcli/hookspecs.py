"""Every hook that a plugin may implement. A plugin is a module named by an entry point of the group `dlcli`.

Hooks are called on built-ins first, then on plugins in the order of their distribution's name. Mark an implementation
with `dlcli.hookimpl`; an unknown hook name or argument is an error when the plugin is loaded. Plugin modules must not
import torch: name component classes, and import what observers need inside the function.
"""

from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    import typer

    from dlcli.contracts.history import EpochRecord
    from dlcli.contracts.run import RunInfo
    from dlcli.registry import Registrar

hookspec = pluggy.HookspecMarker("dlcli")
hookimpl = pluggy.HookimplMarker("dlcli")


@hookspec
def register(registry: "Registrar") -> None:
    """Name the components of this plugin; called once, when plugins are loaded. Nothing is imported by it.

    Example::

        @dlcli.hookimpl
        def register(registry):
            registry.add("activation", "snake", "dlcli_example.snake:Snake")

    Args:
        registry: Takes kind, permanent public name, and where the class is.
    """


@hookspec
def register_commands(app: "typer.Typer") -> None:
    """Add commands to the command line; called once, before arguments are parsed.

    Example::

        @dlcli.hookimpl
        def register_commands(app):
            @app.command()
            def hello() -> None:
                print("hello")

    Args:
        app: The Typer app of `dlcli`.
    """


@hookspec
def run_started(run: "RunInfo") -> None:
    """Be told that a run has its directory and training is about to begin; called once a process, on resume too.

    An observer that raises is named once and not called again; the run goes on and notes it.

    Example::

        @dlcli.hookimpl
        def run_started(run):
            print("started", run.path)

    Args:
        run: The run.
    """


@hookspec
def epoch_finished(run: "RunInfo", member: str, record: "EpochRecord") -> None:
    """Be told that a member finished an epoch; called once an epoch and member, on the training thread: be quick.

    Example::

        @dlcli.hookimpl
        def epoch_finished(run, member, record):
            print(record.epoch, record.values["train_loss"])

    Args:
        run: The run.
        member: Identity of the member; empty in a plain run.
        record: Its epoch.
    """


@hookspec
def run_finished(run: "RunInfo", summary: "dict[str, Any]") -> None:
    """Be told that a run is finished, interrupted or failed; called once, after its files are complete.

    Example::

        @dlcli.hookimpl
        def run_finished(run, summary):
            print(summary["status"], summary.get("test"))

    Args:
        run: The run.
        summary: What `--json` prints.
    """
