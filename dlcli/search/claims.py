"""Claims: folders that only one process can hold, on any file system that more machines may share.

A claim is a folder that holds `holder.json` and appears by renaming a complete one onto its name: that is atomic and
fails where there is one already, on local disks, NFS, SMB and Windows alike. Locks of the kernel (`fcntl`, `flock`)
would be simpler, but over a network they are refused by some mounts and silently mean this machine alone on others.
"""

import errno
import functools
import json
import os
import shutil
import socket
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from dlcli import atomic

HOLDER = "holder.json"
_TAKEN = {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.EISDIR}
if os.name == "nt":
    _TAKEN.add(errno.EACCES)


class ClaimLost(Exception):
    """Another process took a claim over, because its holder gave no sign of life; the holder must end what it does."""


class FileClock:
    """The clock of the file system, which all machines that share it agree on, whatever their own clocks say.

    Args:
        path: A file to touch; its time is also a sign of life of whoever asks.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def last(self) -> float | None:
        """Return when somebody last asked, in seconds; None where nobody ever did."""
        try:
            return self.path.stat().st_mtime
        except FileNotFoundError:
            return None

    def now(self) -> float:
        """Return the time in seconds."""
        try:
            os.utime(self.path)
        except FileNotFoundError:
            with atomic.storage_errors(self.path):
                self.path.touch()
        return self.path.stat().st_mtime


@dataclass(frozen=True)
class Holder:
    """Who holds a claim.

    Args:
        machine: The machine, told apart from others of one name, its other boots and its containers.
        pid: Number of the process.
        started: When the process started, as the machine counts; empty where it does not say.
        token: Unique to the claim.
    """

    machine: str
    pid: int
    started: str
    token: str

    def is_dead(self) -> bool:
        """Return whether the process is known to be gone; of processes elsewhere nothing is known."""
        if self.machine != machine() or os.name == "nt":
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return process_started(self.pid) != self.started


class Claim:
    """A claim that this process holds.

    Args:
        path: Its folder.
        token: Its token.
        stale_seconds: After how long without a sign of life others may take it.
    """

    def __init__(self, path: Path, token: str, stale_seconds: float) -> None:
        self.path = path
        self.token = token
        self.stale_seconds = stale_seconds
        self.lost = False
        self._touched = time.monotonic()

    def held(self) -> bool:
        """Return whether the claim is still this process's, as the file system has it now."""
        if not self.lost:
            holder, _ = _read(self.path)
            self.lost = holder is None or holder.token != self.token
        return not self.lost

    def touch(self) -> None:
        """Give a sign of life, where the claim is still held."""
        try:
            if self.held():
                os.utime(self.path / HOLDER)
                self._touched = time.monotonic()
        except FileNotFoundError:
            self.lost = True
        except OSError:
            return  # a network that fails for a moment: the next sign of life, or `held`, will tell

    def check(self) -> None:
        """Make sure that the claim is held; costs next to nothing while signs of life were given in time.

        Raises:
            ClaimLost: Another process took it.
        """
        if time.monotonic() - self._touched > self.stale_seconds / 2:
            self.touch()  # the process was stopped or starved for long
        if self.lost:
            raise ClaimLost(str(self.path))

    def release(self) -> None:
        """Give the claim up; nothing happens where it was lost."""
        try:
            if self.held():
                _remove(self.path, self.token)
        except FileNotFoundError:
            pass
        finally:
            self.lost = True


def take(path: Path, clock: FileClock, stale_seconds: float, keep: str | None = None) -> Claim | None:
    """Take a claim that is free, or whose holder is dead or gave no sign of life for too long.

    Args:
        path: Where its folder goes.
        clock: Clock of the file system.
        stale_seconds: How long without a sign of life is too long, > 0.
        keep: Where given, a claim that was taken away from its holder stays beside as `<keep><token>`.

    Returns:
        The claim; None where somebody holds it.

    Raises:
        StorageError: The folder cannot be written.
    """
    with atomic.storage_errors(path):
        if os.path.lexists(path):
            if _stale(path, clock, stale_seconds) is None:
                return None
            # One at a time looks and takes away, or one that looked early would take away what another just took.
            guard = path.with_name(f"{path.name}-reaper")
            reaper = _create(guard, stale_seconds)
            if reaper is None:
                if (dead := _stale(guard, clock, stale_seconds)) is not None:
                    _reap(guard, dead, None)
                return None
            try:
                if (dead := _stale(path, clock, stale_seconds)) is not None:
                    _reap(path, dead, keep)
            finally:
                reaper.release()
        return _create(path, stale_seconds)


@functools.cache
def machine() -> str:
    """Return what tells this machine apart: its name, boot, and process numbering (containers have their own)."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{socket.gethostname()} {boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:  # not Linux
        return f"{socket.gethostname()} {uuid.getnode():x}"


def process_started(pid: int) -> str:
    """Return when a process of this machine started, to tell it from a later one of its number; empty if unknown."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _create(path: Path, stale_seconds: float) -> Claim | None:
    holder = Holder(machine(), os.getpid(), process_started(os.getpid()), uuid.uuid4().hex)
    draft = path.with_name(f"{atomic.PARTIAL}{path.name}-{holder.token}")
    draft.mkdir()
    try:
        (draft / HOLDER).write_text(json.dumps(vars(holder)), encoding="utf-8")
        os.rename(draft, path)
    except OSError as error:
        shutil.rmtree(draft, ignore_errors=True)
        if error.errno in _TAKEN:
            return None
        raise
    return Claim(path, holder.token, stale_seconds)


def _read(path: Path) -> tuple[Holder | None, float | None]:
    """Return who holds a claim, None if that is not said, and its last sign of life, None where there is no claim."""
    try:
        # Opened first: over NFS that asks the server, where a mere `stat` may tell what it was half a minute ago.
        with (path / HOLDER).open(encoding="utf-8") as file:
            touched = os.fstat(file.fileno()).st_mtime
            return Holder(**json.load(file)), touched
    except FileNotFoundError:
        return None, None
    except (ValueError, TypeError):
        return None, touched
    except NotADirectoryError:  # Optuna's own lock of a journal is a file, or a link to nowhere
        try:
            return None, path.lstat().st_mtime
        except FileNotFoundError:
            return None, None


def _stale(path: Path, clock: FileClock, stale_seconds: float) -> Holder | None:
    """Return whose claim may be taken away, with an empty token if that is not said; None for nobody's."""
    holder, touched = _read(path)
    if touched is None:
        return None
    stale = (holder is not None and holder.is_dead()) or clock.now() - touched > stale_seconds
    return (holder or Holder("", 0, "", "")) if stale else None


def _reap(path: Path, stale: Holder, keep: str | None) -> None:
    doomed = path.with_name(f"{keep or f'{atomic.PARTIAL}{path.name}-'}{uuid.uuid4().hex}")
    try:
        os.rename(path, doomed)
    except FileNotFoundError:
        return  # its holder gave it up at last
    found, _ = _read(doomed)
    if found is not None and found.token != stale.token:
        # Its holder gave it up at last, and another took it since it was looked at: give it back. Should a third have
        # taken the name in between, that other one notices that its claim is lost.
        try:
            os.rename(doomed, path)
        except OSError:
            _discard(doomed)
    elif keep is None:
        _discard(doomed)


def _remove(path: Path, token: str) -> None:
    doomed = path.with_name(f"{atomic.PARTIAL}{path.name}-{token}")
    os.rename(path, doomed)
    _discard(doomed)


def _discard(path: Path) -> None:
    try:
        os.unlink(path / HOLDER)
        os.rmdir(path)
    except NotADirectoryError:
        path.unlink(missing_ok=True)
    except FileNotFoundError:
        pass  # swept up already
