"""The use case behind `dlcli export`: a run's model as one artefact, checked against it before it is left."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dlcli import atomic
from dlcli.contracts.dataset import Dataset
from dlcli.contracts.exporter import Exporter
from dlcli.data.fingerprint import fingerprint
from dlcli.errors import DataError, UsageError
from dlcli.experiment.address import Address, find_address
from dlcli.experiment.exporting.check import Accuracy, CheckedArtefact, Source
from dlcli.experiment.exporting.exportable import cannot_export, exportable_of
from dlcli.experiment.exporting.exporter_choice import choose_exporter, label_of
from dlcli.experiment.exporting.latency import Speed, measure, size_of
from dlcli.experiment.exporting.parity import Parity
from dlcli.experiment.exporting.rows import export_rows
from dlcli.experiment.models.interface import Interface
from dlcli.experiment.models.model_folder import read_model
from dlcli.experiment.prepare import read_data
from dlcli.experiment.run_directory import RUNS
from dlcli.layers.program import CannotExportError
from dlcli.plugins import Plugins, load_plugins
from dlcli.recipe.load import load_recipe
from dlcli.recipe.model import Recipe

MAX_DROP = 0.01
"""How much accuracy an artefact that is not exact may lose: one point."""


@dataclass(frozen=True)
class Export:
    """What an export left.

    Args:
        run: The run, or the member of it.
        format: Name of the exporter.
        path: The artefact.
        bytes: Its size.
        weight_bytes: Size of the run's weights.
        interface: What it takes and gives.
        parity: How it compares with its source.
        steps_vary: For fields of sequences: whether the artefact takes any number of steps.
        accuracy: What it costs, where it is not exact.
        speeds: With a bench: how fast source and artefacts are.
    """

    run: Address
    format: str
    path: Path
    bytes: int
    weight_bytes: int
    interface: Interface
    parity: Parity
    steps_vary: bool | None = None
    accuracy: Accuracy | None = None
    speeds: tuple[Speed, ...] = field(default=())

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        worst = self.parity.worst
        return {
            "run": str(self.run),
            "format": self.format,
            "path": str(self.path),
            "bytes": self.bytes,
            "weight_bytes": self.weight_bytes,
            "inputs": [{"name": f.name, "dtype": f.dtype, "shape": ["rows", *f.shape]} for f in self.interface.fields],
            "outputs": list(self.interface.outputs),
            "classes": list(self.interface.classes),
            "steps_vary": self.steps_vary,
            "parity": {
                "rows": self.parity.rows,
                "edge_cases": list(self.parity.cases),
                "largest_difference": self.parity.largest,
                "share_of_allowed": None if worst is None else worst.excess,
            },
            "accuracy": None if self.accuracy is None else {**vars(self.accuracy), "drop": self.accuracy.drop},
            "speeds": [vars(speed) for speed in self.speeds],
        }


def export(
    run: str | Path,
    *,
    format: str | Exporter = "pt2",
    parameters: Mapping[str, Any] | None = None,
    output: str | Path | None = None,
    max_drop: float | None = None,
    bench: bool = False,
    data: str | Path | None = None,
    runs: str | Path = RUNS,
    plugins: Plugins | None = None,
) -> Export:
    """Write a run's model as one artefact, and leave it only if it says what the run says.

    On validation rows and edge cases every output must agree, |a − b| ≤ 1e-5 + 1e-5·|b|, the spread of predictions up
    to their rounding in float32; on values far outside the data it must be finite and of the same class.

    Args:
        run: Its path, `NAME/0001`, or `NAME`; `RUN@fold-3` for a member of it.
        format: The exporter: its name, or the component.
        parameters: Of an exporter that is named, those that are not to have their default, such as `quantize`.
        output: Where; `exports/` in the run's directory where None. A file that is there is replaced.
        max_drop: How much accuracy (regression: R²) an artefact that is not exact, such as a quantized one, may lose on
            the validation part, ≥ 0; 0.01 where None.
        bench: Whether to measure how fast source and artefact are, beside pt2 and onnx.
        data: Where the run's data is now, if it has moved; it must be the same data.
        runs: Folder of all runs.
        plugins: Loaded plugins; loaded here where None.

    Returns:
        What was left.

    Raises:
        UsageError: There is no such run or format, or the format cannot hold the model.
        DataError: The model or the data cannot be read.
        PluginError: A package that the format or the model needs is not installed.
        ExportError: The artefact differs from its source, or loses too much accuracy; nothing is left.
    """
    plugins = plugins or load_plugins()
    exporter = format if isinstance(format, Exporter) else choose_exporter(format, parameters or {}, plugins)
    _check_drop(max_drop, exporter)
    address = find_address(run, Path(runs))
    model = read_model(address.trained_model(), plugins)
    recipe = load_recipe(address.run.recipe, plugins.registry)
    if data is not None:
        recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update={"path": str(Path(data).resolve())})})
    dataset = _data_of(address, recipe)
    rows = export_rows(address, dataset, model.description.fields)
    source = Source(model)
    path = _target(address, exporter, output)
    try:
        exportable = exportable_of(address, model, source.interface, recipe, rows)
        left = CheckedArtefact(exporter, exportable, source, rows, MAX_DROP if max_drop is None else max_drop)
        if exporter.suffix:
            with atomic.storage_errors(path):
                path.parent.mkdir(parents=True, exist_ok=True)
            atomic.write_file(path, left)
        else:
            atomic.fill_folder(path, left)
    except CannotExportError as error:
        raise cannot_export(error, model) from error
    assert left.parity is not None
    speeds = measure(exporter, path, exportable, source, plugins.registry) if bench else ()
    return Export(
        address,
        exporter.name,
        path,
        size_of(path),
        (address.model / "model.safetensors").stat().st_size,
        source.interface,
        left.parity,
        left.steps_vary if any(f.kind in ("sequence", "tokens") for f in source.interface.fields) else None,
        left.accuracy,
        speeds,
    )


def _check_drop(max_drop: float | None, exporter: Exporter) -> None:
    if max_drop is None:
        return
    if not max_drop >= 0:
        raise UsageError(f"--max-drop takes a number from 0 on, such as 0.01 for one point; got {max_drop}")
    if exporter.exact:
        raise UsageError(
            f"--max-drop is for what is not exact, such as --quantize int8; --format {label_of(exporter)} loses nothing"
        )


def _data_of(address: Address, recipe: Recipe) -> Dataset:
    try:
        return read_data(recipe)
    except DataError as error:
        path = Path(recipe.data.path)
        if path.is_file() and fingerprint(path) == recipe.data.fingerprint:
            raise
        what = "has changed since" if path.is_file() else "is not there any more"
        raise DataError(
            f"{path}, which {address} was trained on, {what}; the export is checked on its rows: give the same file "
            "with --data FILE"
        ) from error


def _target(address: Address, exporter: Exporter, output: str | Path | None) -> Path:
    """Return where the artefact goes, and refuse what would destroy something else."""
    stem, label = address.member or "model", label_of(exporter)
    if exporter.suffix:
        label = label.removeprefix(exporter.name).strip("-")
    name = (f"{stem}-{label}" if label else stem) + exporter.suffix
    if output is None:
        return address.run.path / "exports" / name
    if not str(output):
        raise UsageError("-o is empty; name a file, or leave it out")
    path = Path(output)
    if exporter.suffix:
        if path.is_dir():
            return path / name
        if not path.name.endswith(exporter.suffix):
            raise UsageError(
                f"-o {path}: a file of --format {exporter.name} ends with {exporter.suffix}; --format names others"
            )
        return path
    # A folder with a model.json is an earlier export, perhaps under version control; all else in it stays.
    if path.is_file() or (path.is_dir() and any(path.iterdir()) and not (path / "model.json").exists()):
        raise UsageError(
            f"-o {path}: --format {exporter.name} writes a folder, and this holds something else; name a new folder"
        )
    return path
