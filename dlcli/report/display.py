"""What shows training as it goes: the contract of a display, and the choice among those there are."""

from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from rich.console import Console
    from torch import Tensor

    from dlcli.contracts.history import Direction, EpochRecord, History
    from dlcli.contracts.member import Member
    from dlcli.contracts.run import RunInfo
    from dlcli.experiment.summary import Summary


class Display(Protocol):
    """Is told how training goes, and shows it; called on the training thread, so it must be quick.

    It takes what a `Watch` takes but for `interrupted`, which is no matter of showing. Entering it shows nothing yet;
    leaving it puts the terminal right, whatever happened.
    """

    def __enter__(self) -> Self:
        """Return the display."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take down whatever is still shown."""
        ...

    def run_started(
        self, run: "RunInfo", epochs: int, monitor: str, direction: "Direction", members: Sequence[str] = ()
    ) -> None:
        """A run has its directory, and training is about to begin; `epochs` at most, each of several `members`."""
        ...

    def epoch_started(self, member: "Member", epoch: int, steps: int) -> None:
        """An epoch of a member begins."""
        ...

    def step_finished(self, step: int, loss: "Tensor", learning_rate: float) -> None:
        """A step, counted from 1 in its epoch, was taken; `loss` is 0-d, and reading it costs a synchronisation."""
        ...

    def epoch_finished(self, member: "Member", record: "EpochRecord", history: "History") -> None:
        """An epoch of a member ended; `history` includes it."""
        ...

    def note(self, text: str) -> None:
        """Something happened that the user should know."""
        ...

    def finished(self, summary: "Summary") -> None:
        """The run is over; what is live comes down. The summary itself is printed by who asked for the run."""
        ...


def best_record(history: "History") -> "EpochRecord":
    """Return the first epoch that no other beats; there must be one epoch at least."""
    scores = history.scores
    best = 0
    for index in range(1, len(scores)):
        if history.better(scores[index], scores[best]):
            best = index
    return history.records[best]


def choose_display(console: "Console", *, quiet: bool = False) -> Display:
    """Return the display that suits a console: live on a terminal, one plain line an epoch elsewhere.

    Args:
        console: Where to show.
        quiet: Whether to show nothing.

    Returns:
        A display.
    """
    from dlcli.report.live import LiveDisplay
    from dlcli.report.plain import PlainDisplay, QuietDisplay

    if quiet:
        return QuietDisplay()
    return LiveDisplay(console) if console.is_terminal and not console.is_dumb_terminal else PlainDisplay(console)
