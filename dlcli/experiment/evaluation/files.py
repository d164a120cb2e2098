"""`evaluations/` in a run's directory: what evaluating it came to, and nothing else of the run is touched."""

from pathlib import Path

from dlcli import atomic
from dlcli.experiment.address import Address
from dlcli.experiment.evaluate import Evaluation
from dlcli.experiment.evaluation.compare import RunComparison
from dlcli.report.evaluation_svg import evaluation_svg

FOLDER = "evaluations"


def write_evaluation(evaluation: Evaluation) -> tuple[Path, ...]:
    """Write all figures and a picture; those of an earlier evaluation on the same rows are replaced.

    Args:
        evaluation: What to write.

    Returns:
        The files.

    Raises:
        StorageError: They cannot be written.
    """
    data = None if evaluation.own_data else evaluation.data
    stem = _stem(evaluation.run, data, evaluation.split)
    table, picture = (_file(evaluation.run, f"{stem}{suffix}") for suffix in (".json", ".svg"))
    atomic.write_json(table, evaluation.as_json())
    atomic.write_text(picture, evaluation_svg(evaluation))
    return table, picture


def write_comparison(comparison: RunComparison) -> tuple[Path, ...]:
    """Write a comparison, into the directory of its first run.

    Args:
        comparison: What to write.

    Returns:
        The file.

    Raises:
        StorageError: It cannot be written.
    """
    second = comparison.second
    path = second.run.path.resolve()
    other = f"{path.parent.name}-{path.name}" + (f"@{second.member}" if second.member else "")
    data = None if comparison.own_data else comparison.data
    table = _file(comparison.first, f"{_stem(comparison.first, data, comparison.split)}-against-{other}.json")
    atomic.write_json(table, comparison.as_json())
    return (table,)


def _stem(address: Address, data: Path | None, split: str) -> str:
    """Return `test`, of a member `test@fold-3`, of another file `FILE-test`."""
    rows = split if data is None else f"{data.stem}-{split}"
    return f"{rows}@{address.member}" if address.member else rows


def _file(address: Address, name: str) -> Path:
    folder = address.run.path / FOLDER
    with atomic.storage_errors(folder):
        folder.mkdir(exist_ok=True)
    return folder / name
