"""Members of an ensemble on disk: a model a kept state, and what became of each training, written when it is over."""

import json
import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from dlcli import atomic
from dlcli.contracts.ensemble_members import KeptStates
from dlcli.contracts.member import Member, Result
from dlcli.errors import DataError
from dlcli.experiment.ensembling.members import MemberRoom
from dlcli.experiment.models.model_file import WEIGHTS, below
from dlcli.experiment.models.model_folder import trained_part, write_part
from dlcli.experiment.run_directory import RunDirectory
from dlcli.plugins import Plugins
from dlcli.training.checkpoint import Checkpoints, rank
from dlcli.training.surroundings import member_folder
from dlcli.training.tensor_file import read_tensors

FORMAT = 1


@dataclass(frozen=True)
class KeptState:
    """One kept state of a training.

    Args:
        identity: Its name within the run.
        epoch: The epoch that it is from.
        score: Its monitored value; None without validation rows.
    """

    identity: str
    epoch: int
    score: float | None


@dataclass(frozen=True)
class Training:
    """What became of one training.

    Args:
        identity: The identity that was asked for.
        states: What was kept of it; none where it failed.
        epochs: Epochs trained.
        seconds: Wall time of them.
        steady_seconds: The same, had every epoch taken as long as the median one: without what the first one costs.
        stopped: Why it ended early; None where it did not.
        failure: Why it failed; None where it did not.
    """

    identity: str
    states: tuple[KeptState, ...]
    epochs: int
    seconds: float
    steady_seconds: float
    stopped: str | None = None
    failure: str | None = None


class MemberStore:
    """Writes and reads the members of a run.

    Args:
        run: The run's directory.
        room: Describes members.
        plugins: Which packages the components come from.
    """

    def __init__(self, run: RunDirectory, room: MemberRoom, plugins: Plugins) -> None:
        self._run, self._room, self._plugins = run, room, plugins

    def read(self, identity: str) -> Training | None:
        """Return what became of a training.

        Args:
            identity: The identity that was asked for.

        Returns:
            What became of it; None where it is not over.

        Raises:
            DataError: The file is damaged.
        """
        path = self._path(identity)
        if not path.exists():
            return None
        try:
            table: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            if table.pop("format") != FORMAT:
                raise ValueError(f"this dlcli reads format {FORMAT}")
            states = tuple(KeptState(**state) for state in table.pop("states"))
            return Training(states=states, **table)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"cannot read {path}: {error}; remove the folder of this member to train it anew") from None

    def state(self, identity: str) -> Mapping[str, Tensor]:
        """Return the `state_dict` of a kept state."""
        return below("network.", read_tensors(self._run.model_of(identity) / WEIGHTS))

    def write(self, member: Member, result: Result, kept: KeptStates) -> Training:
        """Write the models of a training that is over, and then what became of it.

        Args:
            member: Who.
            result: What training gave.
            kept: Which states are kept.

        Returns:
            What `read` will return.
        """
        states = {} if result.failure is not None else self._states(member, result, kept)
        description = self._room.describe(member)
        found = []
        for epoch, (identity, state) in states.items():
            part = trained_part(description, state, member.preprocessing, self._plugins)
            write_part(self._run.model_of(identity), part)
            score = None if member.validation_rows is None else result.history.scores[epoch - 1]
            found.append(KeptState(identity, epoch, score))
        each = [record.seconds for record in result.history.records]
        training = Training(
            member.identity,
            tuple(found),
            result.epochs,
            result.seconds,
            statistics.median(each) * len(each) if each else 0.0,
            result.stopped,
            result.failure,
        )
        path = self._path(member.identity)
        with atomic.storage_errors(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)  # one that failed in a stack has left nothing there
        atomic.write_json(path, {"format": FORMAT, **asdict(training)})
        return training

    def _states(self, member: Member, result: Result, kept: KeptStates) -> dict[int, tuple[str, Mapping[str, Tensor]]]:
        """Return the kept states by epoch, rising, each with its identity."""
        if kept.which in ("best", "last"):
            return {result.selected_epoch: (member.identity, result.state)}
        checkpoints = Checkpoints(member_folder(self._run.path, member.identity) / "checkpoints", member.keep)
        if kept.which == "best_n":
            epochs = rank(result.history)[: kept.count]
        elif kept.which == "last_n":
            epochs = [record.epoch for record in result.history.records[-kept.count :]]
        else:
            epochs = [r.epoch for r in result.history.records if r.epoch % kept.count == 0]
        found = {}
        for epoch in sorted(epochs):
            state = result.state if epoch == result.selected_epoch else checkpoints.parameters(epoch)
            found[epoch] = f"{member.identity}-epoch-{epoch:04d}", state
        return found

    def _path(self, identity: str) -> Any:
        return member_folder(self._run.path, identity) / "training.json"
