"""What a journal of Optuna says, as far as the search needs it to add to it."""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

FORMAT = 1
TRIAL = "trial"
"""User attribute of an Optuna trial: its permanent number in the search."""
MARK = "dlcli_format"
"""User attribute of a study that the search made: the format of its attributes."""


class Operation(IntEnum):
    """Operations in a journal of Optuna 3 to 5."""

    CREATE_STUDY = 0
    DELETE_STUDY = 1
    STUDY_USER_ATTRIBUTE = 2
    STUDY_SYSTEM_ATTRIBUTE = 3
    CREATE_TRIAL = 4
    PARAMETER = 5
    STATE = 6
    INTERMEDIATE = 7
    USER_ATTRIBUTE = 8
    SYSTEM_ATTRIBUTE = 9
    DISCARD_TRIALS = 10


class State(IntEnum):
    """States of a trial in Optuna."""

    RUNNING = 0
    COMPLETE = 1
    PRUNED = 2
    FAIL = 3
    WAITING = 4


@dataclass
class Study:
    """What is known of a study.

    Args:
        number: Its number in the journal.
        attributes: Names of its attributes.
        trials: Number in the journal of each trial that the search made, by its permanent number.
    """

    number: int
    attributes: set[str] = field(default_factory=set)
    trials: dict[int, int] = field(default_factory=dict)


@dataclass
class Mirrored:
    """What is known of a trial.

    Args:
        steps: Steps with an intermediate value.
        attributes: Names of its user attributes.
        ended: Whether it has ended.
    """

    steps: set[int] = field(default_factory=set)
    attributes: set[str] = field(default_factory=set)
    ended: bool = False


class Replay:
    """Follows a journal's operations; numbers are given as Optuna gives them."""

    def __init__(self) -> None:
        self.studies: dict[str, Study] = {}
        self.trials: list[Mirrored] = []
        self._names: list[str] = []

    @property
    def study_count(self) -> int:
        """How many studies were ever made: the number of the next one."""
        return len(self._names)

    def apply(self, line: dict[str, Any]) -> None:
        """Follow one operation.

        Args:
            line: The line of the journal.

        Raises:
            KeyError: The line lacks a field.
            ValueError: It is an unknown operation, or of another format of the search.
        """
        operation = Operation(line["op_code"])
        if not isinstance(line["worker_id"], str):
            raise ValueError("worker_id is no text")
        if operation is Operation.CREATE_STUDY:
            if line["study_name"] not in self.studies:
                self.studies[line["study_name"]] = Study(len(self._names))
                self._names.append(line["study_name"])
        elif operation is Operation.DELETE_STUDY:
            study = self._study(line)
            if study is not None:
                del self.studies[self._names[study.number]]
        elif operation in (Operation.STUDY_USER_ATTRIBUTE, Operation.STUDY_SYSTEM_ATTRIBUTE):
            self._study_attribute(line)
        elif operation is Operation.CREATE_TRIAL:
            self._create_trial(line)
        elif operation is not Operation.DISCARD_TRIALS:
            self._change_trial(operation, line)

    def _study(self, line: dict[str, Any]) -> Study | None:
        number = line["study_id"]
        name = self._names[number] if 0 <= number < len(self._names) else None
        found = self.studies.get(name) if name is not None else None
        return found if found is not None and found.number == number else None

    def _study_attribute(self, line: dict[str, Any]) -> None:
        attributes = line.get("user_attr") or line.get("system_attr") or {}
        found = attributes.get(MARK, FORMAT)
        if found != FORMAT:
            raise ValueError(f"the search was written in format {found}; this dlcli reads format {FORMAT}")
        study = self._study(line)
        if study is not None:
            study.attributes.update(attributes)

    def _create_trial(self, line: dict[str, Any]) -> None:
        study = self._study(line)
        if study is None:
            return  # Optuna passes it by, too
        attributes = line.get("user_attrs") or {}
        if TRIAL in attributes:
            study.trials.setdefault(int(attributes[TRIAL]), len(self.trials))
        steps = {int(step) for step in line.get("intermediate_values") or {}}
        ended = State(line.get("state", State.RUNNING)) not in (State.RUNNING, State.WAITING)
        self.trials.append(Mirrored(steps, set(attributes), ended))

    def _change_trial(self, operation: Operation, line: dict[str, Any]) -> None:
        number = line["trial_id"]
        if not 0 <= number < len(self.trials) or self.trials[number].ended:
            return  # Optuna passes it by, too
        trial = self.trials[number]
        if operation is Operation.STATE:
            trial.ended = State(line["state"]) not in (State.RUNNING, State.WAITING)
        elif operation is Operation.INTERMEDIATE:
            trial.steps.add(int(line["step"]))
        elif operation is Operation.USER_ATTRIBUTE:
            trial.attributes.update(line["user_attr"])
