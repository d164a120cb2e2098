"""The use case behind `dlcli predict`: answers of a run or an artefact about rows of any file, streamed."""

import json
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlcli import atomic
from dlcli.data.matching import notes_of
from dlcli.data.row_source import ALL, ImportedRows, RowSource
from dlcli.errors import DataError, UsageError
from dlcli.experiment.environment import versions
from dlcli.experiment.models.interface import SPREAD, Interface
from dlcli.experiment.output_file import check_output
from dlcli.experiment.prediction.files import check_suffix, prediction_file
from dlcli.experiment.prediction.predictor import Predictor, open_predictor
from dlcli.experiment.prediction.rows import PredictedRows, Record
from dlcli.experiment.prediction.stream import answers, match_source, open_rows
from dlcli.experiment.prediction.tally import Tally
from dlcli.experiment.run_directory import RUNS
from dlcli.plugins import Plugins, load_plugins

SHOWN = 20
Progress = Callable[[int, int | None], None]
"""Is told how many rows are done, and of how many; None where only reading tells."""


@dataclass(frozen=True)
class Prediction:
    """What became of a prediction.

    Args:
        model: The run, the member of it, or the artefact.
        data: The file.
        split: The split.
        interface: How answers are read.
        rows: How many rows.
        answers: How many answers: as many as rows, or one for each position that is no padding.
        seconds: How long reading, computing and writing took.
        output: Where the answers are; None where they were only shown.
        counts: How many answers each class or label got; None for regression.
        mean_confidence: Mean probability of what was predicted; None for regression.
        targets: Mean, lowest and highest prediction of each target; None for tasks with classes.
        shown: The first answers.
        most_certain: As many as were asked for, the most certain first.
        least_certain: Likewise, the least certain first.
        notes: What must be known of how the file was read.
    """

    model: str
    data: Path
    split: str
    interface: Interface
    rows: int
    answers: int
    seconds: float
    output: Path | None
    counts: dict[str, int] | None
    mean_confidence: float | None
    targets: dict[str, dict[str, Any]] | None
    shown: list[Record]
    most_certain: list[Record]
    least_certain: list[Record]
    notes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "model": self.model,
            "data": str(self.data),
            "split": self.split,
            "task": str(self.interface.task),
            "rows": self.rows,
            "answers": self.answers,
            "seconds": self.seconds,
            "output": None if self.output is None else str(self.output),
            "counts": self.counts,
            "mean_confidence": self.mean_confidence,
            "targets": self.targets,
            "shown": self.shown,
            "most_certain": self.most_certain,
            "least_certain": self.least_certain,
            "notes": list(self.notes),
        }


def predict(
    run: str | Path,
    data: str | Path,
    *,
    output: str | Path | None = None,
    format: str | None = None,
    settings: Mapping[str, Any] | None = None,
    split: str = ALL,
    explain: int = 0,
    show: int | None = None,
    batch_size: int | None = None,
    device: str | None = None,
    runs: str | Path = RUNS,
    plugins: Plugins | None = None,
    progress: Progress | None = None,
) -> Prediction:
    """Predict the rows of a file, in bounded memory; no target is needed.

    Args:
        run: A run's path, `NAME/0001` or `NAME`; `RUN@fold-3` for a member of it; or what `dlcli export` left.
        data: An HDF5 file, or one that an installed importer reads.
        output: Where to write the answers: `.h5`, `.hdf5`, `.csv` or `.jsonl`; one that exists is replaced.
        format: Name of the importer that reads it; None to go by the file.
        settings: The importer's parameters that are to be other than those by which the training data was imported.
        split: `train`, `val` or `test` of the file, or `all` rows.
        explain: How many of the most and of the least certain answers to keep.
        show: How many of the first answers to keep; 20 where None, or none with `output`.
        batch_size: How many rows are computed at once, ≥ 1; None for 1024, or fewer where rows are large.
        device: Where to compute; the recipe's where None.
        runs: Folder of all runs.
        plugins: Loaded plugins; loaded here where None.
        progress: Is told how it goes on.

    Returns:
        What became of it.

    Raises:
        UsageError: There is no such run, split or format, or a number is out of range.
        DataError: The file cannot be read, or does not fit the model.
        StorageError: The output cannot be written; nothing is left of it.
    """
    path, target = Path(data), None if output is None else Path(output)
    _check_numbers(batch_size, explain, show)
    if target is not None:
        check_suffix(target)
        check_output(target, path, Path(run))
    plugins = plugins or load_plugins()
    predictor = open_predictor(run, device, Path(runs), plugins)
    interface = predictor.interface
    if explain and not interface.task.classifies and SPREAD not in interface.outputs:
        raise UsageError(
            f"{predictor.name} is one network without probabilities, so it cannot say how certain it is: leave out "
            "--explain, or train several (--seeds 5) whose spread tells"
        )
    names = [field.name for field in interface.fields]
    source = open_rows(path, predictor, plugins, format=format, settings=settings or {})
    matches = match_source(interface.fields, source, split)
    count = source.count(split, names)
    tally = Tally(interface, source.splits, _shown(show, target), explain)
    start = time.perf_counter()
    stream = answers(predictor, source, matches, split, batch_size)

    def take(write: Callable[[PredictedRows], None]) -> None:
        for rows in stream:
            write(rows)
            tally.add(rows)
            if progress is not None:
                progress(tally.rows, count)
        if not tally.rows:
            raise DataError(f"{path} has no rows to predict" + ("" if split == ALL else f" in {split}"))

    with closing(stream):
        if target is None:
            take(lambda _: None)
        else:
            facts = {
                "task": str(interface.task),
                "model": predictor.name,
                "data": str(path),
                "split": split,
                "versions": json.dumps(versions()),
            }

            def fill(temporary: Path) -> None:
                with prediction_file(temporary, target.suffix.lower(), interface, source.splits, count, facts) as file:
                    take(file.write)

            atomic.write_file(target, fill)
    return Prediction(
        model=predictor.name,
        data=path,
        split=split,
        interface=interface,
        rows=tally.rows,
        answers=tally.lines,
        seconds=time.perf_counter() - start,
        output=target,
        counts=tally.counts,
        mean_confidence=tally.mean_confidence,
        targets=tally.targets,
        shown=tally.shown,
        most_certain=tally.most.records,
        least_certain=tally.least.records,
        notes=(*_unknown_import(predictor, source), *dict.fromkeys(n for m in matches.values() for n in notes_of(m))),
    )


def _unknown_import(predictor: Predictor, source: RowSource) -> tuple[str, ...]:
    """Say where a file may be read otherwise than the training data was."""
    if predictor.imported is not None or not isinstance(source, ImportedRows):
        return ()
    return (
        f"{predictor.name} does not say how the training data was imported, so {source.path.name} is read by the "
        "importer's defaults: say what was set then (--set), or export the run again",
    )


def _check_numbers(batch_size: int | None, explain: int, show: int | None) -> None:
    for name, value, least in (("batch-size", batch_size, 1), ("explain", explain, 0), ("show", show, 0)):
        if value is not None and value < least:
            raise UsageError(f"--{name} is {least} or more; got {value}")


def _shown(show: int | None, target: Path | None) -> int:
    if show is not None:
        return show
    return SHOWN if target is None else 0
