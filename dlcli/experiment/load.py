"""`dlcli.load(run)`: the model of any run, in Python."""

from pathlib import Path

from dlcli.experiment.address import find_address
from dlcli.experiment.models.model_file import DESCRIPTION
from dlcli.experiment.models.model_folder import AnyModel, read_model
from dlcli.experiment.run_directory import RUNS
from dlcli.plugins import Plugins, load_plugins


def load(run: str | Path, *, runs: str | Path = RUNS, plugins: Plugins | None = None) -> AnyModel:
    """Load the model of a run: raw field tensors in, logits out (regression: targets in their own units).

    Of a run with several members that is their combination: its outputs are log-probabilities or log-odds. Without
    gradients, members of one structure are computed together from the third call of a shape on, where that is quicker;
    the last bits may then differ from those of the first calls.

    Args:
        run: Its path, `NAME/0001`, or `NAME` for the latest run of that name; `RUN@fold-3` for a member of it; or a
            folder with a `model.json`, as `dlcli export --format safetensors` leaves it.
        runs: Folder of all runs.
        plugins: Loaded plugins; loaded here where None.

    Returns:
        A module in eval mode on the CPU, with `.probabilities(*inputs)`, `.classes`, `.inputs`, `.task`.

    Raises:
        UsageError: There is no such run or member.
        DataError: It has no model yet, or its files are damaged.
        PluginError: A package that it needs is not installed.
    """
    plugins = plugins or load_plugins()
    folder = Path(run)
    if (folder / DESCRIPTION).exists() and not (folder / "run.json").exists():
        return read_model(folder, plugins)
    return read_model(find_address(run, Path(runs)).trained_model(), plugins)
