"""`populations/NNNN/`: the truth of a search. `plan.json` says who is run, `result.json` what came of it.

A population's folder appears with its plan in it, by renaming a complete one onto the next free number, which fails
where there is one: of two that plan at once, one wins, and no budget is overspent. A result is written once.
"""

import json
import math
import os
import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dlcli import atomic
from dlcli.contracts.search import Setting
from dlcli.errors import DataError
from dlcli.search.space_file import frozen
from dlcli.search.trials import Population, PopulationResult, TrialOutcome

FORMAT = 1


def read_plan(root: Path, number: int) -> Population | None:
    """Read a population's plan.

    Args:
        root: The folder `populations`.
        number: The population's number.

    Returns:
        The population; None where it was not planned.

    Raises:
        DataError: The plan is damaged or of another format.
    """
    folder = root / f"{number:04d}"
    found = _read(folder / "plan.json")
    if found is None:
        return None
    try:
        return Population(
            number=number,
            stage=int(found["stage"]),
            fold=int(found["fold"]),
            epochs=int(found["epochs"]),
            rungs=tuple(int(rung) for rung in found["rungs"]),
            trials=tuple((int(trial["trial"]), frozen(trial["setting"])) for trial in found["trials"]),
            folder=folder,
            after=found["after"],
            planned=float(found["planned"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(folder / "plan.json", repr(error)) from None


def write_plan(
    root: Path,
    number: int,
    trials: Sequence[tuple[int, Setting]],
    *,
    stage: int,
    fold: int,
    epochs: int,
    rungs: Sequence[int],
    after: int | None,
    planned: float,
) -> bool:
    """Plan a population, unless its number is taken.

    Args:
        root: The folder `populations`.
        number: Its number: how many there are.
        trials: Permanent number and setting of each trial.
        stage: Its stage, from 1.
        fold: Its fold, from 0.
        epochs: Epochs at most.
        rungs: Ends of epochs at which the worse half leaves.
        after: The population of the fold before; None for fresh settings.
        planned: The time, in seconds since 1970.

    Returns:
        Whether it was planned; if not, somebody else planned one of that number.

    Raises:
        StorageError: It could not be written; nothing of it is left.
    """
    plan = {
        "format": FORMAT,
        "stage": stage,
        "fold": fold,
        "epochs": epochs,
        "rungs": list(rungs),
        "after": after,
        "planned": planned,
        "trials": [{"trial": trial, "setting": setting} for trial, setting in trials],
    }
    folder = root / f"{number:04d}"
    with atomic.storage_errors(folder):
        root.mkdir(exist_ok=True)
        draft = root / f"{atomic.PARTIAL}{folder.name}-{uuid.uuid4().hex}"
        draft.mkdir()
        try:
            _write(draft / "plan.json", plan)
            os.rename(draft, folder)
        except OSError:
            if not (folder / "plan.json").exists():
                raise
            return False
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        atomic.sync(root)
    return True


def read_result(population: Population) -> PopulationResult | None:
    """Read a population's result.

    Args:
        population: The population.

    Returns:
        The result; None where there is none yet.

    Raises:
        DataError: The result is damaged, of another format or of other trials.
    """
    path = population.folder / "result.json"
    found = _read(path)
    if found is None:
        return None
    try:
        result = PopulationResult(
            outcomes=tuple(TrialOutcome(**outcome) for outcome in found["outcomes"]),
            leaving={int(trial): str(reason) for trial, reason in found["leaving"].items()},
            reports={
                int(trial): {int(epoch): math.nan if value is None else float(value) for epoch, value in values.items()}
                for trial, values in found["reports"].items()
            },
            ended=float(found["ended"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _damaged(path, repr(error)) from None
    if [outcome.trial for outcome in result.outcomes] != [trial for trial, _ in population.trials]:
        raise _damaged(path, "its trials are not those of plan.json")
    return result


def write_result(population: Population, result: PopulationResult) -> bool:
    """Write a population's result, unless there is one.

    Args:
        population: The population.
        result: What came of it.

    Returns:
        Whether it was written.

    Raises:
        StorageError: It could not be written; nothing of it is left.
    """
    value: dict[str, Any] = {
        "format": FORMAT,
        "ended": result.ended,
        "outcomes": [asdict(outcome) for outcome in result.outcomes],
        "leaving": result.leaving,
        "reports": {
            trial: {epoch: value if math.isfinite(value) else None for epoch, value in values.items()}
            for trial, values in result.reports.items()
        },
    }
    return write_once(population.folder / "result.json", value)


def write_once(path: Path, value: Mapping[str, Any]) -> bool:
    """Write a JSON file whole, unless there is one.

    Args:
        path: The file.
        value: Its contents.

    Returns:
        Whether it was written.

    Raises:
        StorageError: It could not be written.
    """
    with atomic.storage_errors(path):
        draft = path.with_name(f"{atomic.PARTIAL}{uuid.uuid4().hex}-{path.name}")
        try:
            _write(draft, value)
            try:
                os.link(draft, path)  # unlike renaming, it fails where there is a file
            except FileExistsError:
                return False
            except OSError:  # a file system without links: the callers' lock must do
                if path.exists():
                    return False
                os.replace(draft, path)
        finally:
            draft.unlink(missing_ok=True)
        atomic.sync(path.parent)
    return True


def _write(path: Path, value: Mapping[str, Any]) -> None:
    """Write a file that nobody sees yet: it gets its name when it is whole."""
    path.write_text(json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False) + "\n", encoding="utf-8")
    atomic.sync(path)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from None
    except ValueError as error:
        raise _damaged(path, str(error)) from None
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise _damaged(path, error.msg) from None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise _damaged(path, f"it is not of format {FORMAT}, the one that this dlcli reads")
    return found


def _damaged(path: Path, cause: str) -> DataError:
    return DataError(
        f"{path} is damaged: {cause}; restore the file from a copy, or start the search anew in another run directory"
    )
