"""`dlcli.load(run)`: the model of any run, in Python."""

from pathlib import Path

from dlcli.errors import DataError
from dlcli.experiment.model import Model
from dlcli.experiment.model_file import read_model
from dlcli.experiment.run_directory import RUNS, find_run, is_running
from dlcli.plugins import Plugins, load_plugins


def load(run: str | Path, *, runs: str | Path = RUNS, plugins: Plugins | None = None) -> Model:
    """Load the model of a run: raw field tensors in, logits out (regression: targets in their own units).

    Args:
        run: Its path, `NAME/0001`, or `NAME` for the latest run of that name.
        runs: Folder of all runs.
        plugins: Loaded plugins; loaded here where None.

    Returns:
        A module in eval mode on the CPU, with `.probabilities(*inputs)`, `.classes`, `.inputs`, `.task`.

    Raises:
        UsageError: There is no such run.
        DataError: It has no model yet, or its files are damaged.
        PluginError: A package that it needs is not installed.
    """
    found = find_run(run, Path(runs))
    if not found.model.exists():
        facts = found.read()
        status = facts.get("status")
        advice = f"go on with dlcli train --resume {found.path}"
        if is_running(facts):
            advice = "it is still training"
        elif status == "failed":
            advice = f"its training failed ({facts.get('error')})"
        raise DataError(f"{found.path} has no model yet (status {status}); {advice}")
    return read_model(found.model, plugins or load_plugins())
