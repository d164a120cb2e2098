"""What shows a search as it goes: the contract of its display, and the choice among those there are."""

from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from rich.console import Console

    from dlcli.report.tune_view import TrialRow, TuneView


class TuneDisplay(Protocol):
    """Is told how a search goes, and shows it; called on the thread that searches, so it must be quick.

    Entering it shows nothing yet; leaving it puts the terminal right, whatever happened. After `search_started` the
    other methods may be called in any order; being told of the same trial's end twice does no harm.
    """

    def __enter__(self) -> Self:
        """Return the display."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take down whatever is still shown."""
        ...

    def search_started(self, view: "TuneView") -> None:
        """A search begins or goes on; `view` holds the trials there are already."""
        ...

    def updated(self, view: "TuneView") -> None:
        """The journal was read anew: `view` holds all trials, those of other workers included."""
        ...

    def population_started(self, rows: "Sequence[TrialRow]", fold: int, epochs: int) -> None:
        """Trials begin to train together, on one fold, counted from 1, for `epochs` at most."""
        ...

    def population_finished(self) -> None:
        """The trials that trained together are through."""
        ...

    def trial_reported(self, number: int, epoch: int, value: float) -> None:
        """A running trial ended an epoch, counted from 1, with a value of the monitor."""
        ...

    def trial_finished(self, row: "TrialRow") -> None:
        """A trial has ended: finished, pruned or failed."""
        ...

    def tick(self) -> None:
        """Time has passed; may be called after every step."""
        ...

    def note(self, text: str) -> None:
        """Something happened that the user should know."""
        ...

    def finished(self) -> None:
        """The search is over; what is live comes down. The summary is printed by who asked for the search."""
        ...


def choose_tune_display(console: "Console", *, quiet: bool = False) -> TuneDisplay:
    """Return the display that suits a console: live on a terminal, one plain line a trial elsewhere.

    Args:
        console: Where to show.
        quiet: Whether to show nothing.

    Returns:
        A display.
    """
    from dlcli.report.tune_live import LiveTuneDisplay
    from dlcli.report.tune_plain import PlainTuneDisplay, QuietTuneDisplay

    if quiet:
        return QuietTuneDisplay()
    live = console.is_terminal and not console.is_dumb_terminal
    return LiveTuneDisplay(console) if live else PlainTuneDisplay(console)
