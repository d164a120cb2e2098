"""What a user may write for a run: the run itself, or `RUN@fold-3` for a member of it."""

from dataclasses import dataclass
from pathlib import Path

from dlcli.errors import DataError, UsageError
from dlcli.experiment.run_directory import LISTED, RUNS, RunDirectory, find_run, is_running
from dlcli.untrusted import check_inside


@dataclass(frozen=True)
class Address:
    """A run, or a member of one.

    Args:
        run: The run.
        member: The member's identity; empty for the run itself.
    """

    run: RunDirectory
    member: str = ""

    def __str__(self) -> str:
        return f"{self.run.path}@{self.member}" if self.member else str(self.run.path)

    @property
    def model(self) -> Path:
        """Where its model is, once it is trained."""
        return self.run.model_of(self.member)

    def trained_model(self) -> Path:
        """Return where its model is.

        Returns:
            The model folder.

        Raises:
            DataError: It has no model yet, or never will, or it is not in the run; says what to do.
        """
        if self.model.exists():
            try:
                check_inside(self.model, self.run.path)
            except ValueError as error:
                raise DataError(str(error)) from None
            return self.model
        facts = self.run.read()
        status = facts.get("status")
        command = "ensemble" if facts.get("command") == "ensemble" else "train"
        advice = f"go on with dlcli {command} --resume {self.run.path}"
        if facts.get("command") == "tune":
            advice = "it is a search that has not ended: the dlcli tune command that began it goes on"
        failures = {entry.get("identity"): entry.get("failure") for entry in facts.get("members", ())}
        if failures.get(self.member):
            advice = f"its training failed ({failures[self.member]})"
        elif is_running(facts):
            advice = f"it is still {'searching' if facts.get('command') == 'tune' else 'training'}"
        elif status == "failed":
            what = "search" if facts.get("command") == "tune" else "training"
            advice = f"its {what} failed ({facts.get('error')})"
        raise DataError(f"{self} has no model yet (status {status}); {advice}")


def find_address(reference: str | Path, root: Path = RUNS) -> Address:
    """Find a run, or a member of one.

    Args:
        reference: What the user typed: a path, `NAME/0001` or `NAME`, and for a member `@` and its identity.
        root: Where runs are.

    Returns:
        Where it is.

    Raises:
        UsageError: There is no such run, or it has no such member; names those that there are.
    """
    text = str(reference)
    before, at, member = text.rpartition("@")
    # A folder whose own name has an @ in it is taken as it is.
    if not at or any((path / "run.json").exists() for path in (Path(text), root / text)):
        return Address(find_run(reference, root))
    run = find_run(before, root)
    identities = run.members()
    if member not in identities:
        raise UsageError(f"{run.path} has no member {member!r}; {_members_there(run)}")
    return Address(run, member)


def _members_there(run: RunDirectory) -> str:
    """Say which members a run has, and which runs those are that it was given."""
    parts = []
    if identities := run.members():
        parts.append(f"there are {', '.join(identities)}")
    entries = run.read().get("members", ())
    if sources := list(dict.fromkeys(entry["source"] for entry in entries if entry.get("source") is not None)):
        more = f" and {len(sources) - LISTED} more" if len(sources) > LISTED else ""
        others = "its other members are" if identities else "its members are"
        parts.append(f"{others} other runs, to be named themselves: {', '.join(sources[:LISTED])}{more}")
    return "; ".join(parts) or "it is one network and has none"
