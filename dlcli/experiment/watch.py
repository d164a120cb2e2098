"""What connects training with the display, the observers and Ctrl-C."""

from dlcli.contracts.history import EpochRecord, History
from dlcli.contracts.member import Member
from dlcli.contracts.run import RunInfo
from dlcli.experiment.interruption import Interruption
from dlcli.plugins import Observers
from dlcli.report.display import Display


class RunWatch:
    """Passes on what training says: to the display, to the observers; and Ctrl-C the other way.

    Args:
        info: The run.
        display: Shows it.
        observers: Are told.
        interruption: Whether the user wants to end it.
    """

    def __init__(self, info: RunInfo, display: Display, observers: Observers, interruption: Interruption) -> None:
        self._info, self._display, self._observers = info, display, observers
        self._interruption = interruption
        self.notes: list[str] = []
        self.epoch_started = display.epoch_started
        self.step_finished = display.step_finished

    def interrupted(self) -> bool:
        """Return whether training should save its state and end now."""
        return self._interruption.requested

    def epoch_finished(self, member: Member, record: EpochRecord, history: History) -> None:
        """Tell display and observers."""
        self._display.epoch_finished(member, record, history)
        self.notify("epoch_finished", member=member.identity, record=record)

    def note(self, text: str) -> None:
        """Show a note, and keep it for the summary."""
        self.notes.append(text)
        self._display.note(text)

    def notify(self, hook: str, **arguments: object) -> None:
        """Call a hook of all observers; those that fail are named."""
        for failure in self._observers.notify(hook, run=self._info, **arguments):
            self._display.note(failure)
