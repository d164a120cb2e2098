"""What shows an ensemble as it comes about: the contract of a display, and the choice among those there are."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from dlcli.report.display import Display

if TYPE_CHECKING:
    from rich.console import Console


class EnsembleDisplay(Display, Protocol):
    """Is told how an ensemble comes about, and shows it; called on the training thread, so it must be quick.

    `run_started` gets no members: they become known round by round. `finished` is not called: leaving the display takes
    down what is live, and the summary is printed by who asked for the run.
    """

    def round_started(self, number: int, identities: Sequence[str], epochs: int) -> None:
        """A round begins, counted from 1: these members train now, `epochs` at most each."""
        ...

    def member_finished(self, identity: str, score: float) -> None:
        """A member, or a kept state of one, is there; `score` is its monitored value, NaN without validation rows."""
        ...

    def reached(self, members: int, score: float) -> None:
        """The ensemble of the members so far has a monitored value on the rows that decide."""
        ...


def choose_ensemble_display(console: "Console", *, quiet: bool = False) -> EnsembleDisplay:
    """Return the display that suits a console: live on a terminal, plain lines elsewhere.

    Args:
        console: Where to show.
        quiet: Whether to show nothing.

    Returns:
        A display.
    """
    from dlcli.report.ensemble_live import LiveEnsembleDisplay
    from dlcli.report.ensemble_plain import PlainEnsembleDisplay, QuietEnsembleDisplay

    if quiet:
        return QuietEnsembleDisplay()
    live = console.is_terminal and not console.is_dumb_terminal
    return LiveEnsembleDisplay(console) if live else PlainEnsembleDisplay(console)
