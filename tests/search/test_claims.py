import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from dlcli.errors import StorageError
from dlcli.search import claims
from dlcli.search.claims import Claim, ClaimLost, FileClock, Holder, machine, process_started, take
from dlcli.search.heart import Heart


@pytest.fixture
def clock(tmp_path):
    return FileClock(tmp_path / "alive")


def holder(path):
    return Holder(**json.loads((path / "holder.json").read_text()))


def write_holder(path, who):
    (path / "holder.json").write_text(json.dumps(vars(who)))


def dead_pid():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_one_takes_it_and_gives_it_up(tmp_path, clock):
    path = tmp_path / "lease"
    claim = take(path, clock, 10)
    assert claim.held()
    assert take(path, clock, 10) is None
    claim.release()
    assert not claim.held()
    again = take(path, clock, 10)
    assert again.held()
    claim.release()  # once more does nothing to the other's
    assert again.held()
    assert sorted(item.name for item in tmp_path.iterdir()) == ["alive", "lease"]


def test_a_dead_holder_of_this_machine_is_found_out_at_once(tmp_path, clock):
    path = tmp_path / "lease"
    claim = take(path, clock, 1000)
    write_holder(path, replace(holder(path), pid=dead_pid()))
    other = take(path, clock, 1000)
    assert other.held()
    assert not claim.held()


@pytest.mark.skipif(not Path("/proc").exists(), reason="only /proc says when a process started")
def test_a_later_process_of_the_same_number_is_not_the_holder(tmp_path, clock):
    path = tmp_path / "lease"
    take(path, clock, 1000)
    write_holder(path, replace(holder(path), started="1"))
    assert take(path, clock, 1000).held()


def test_nothing_is_known_of_processes_elsewhere(tmp_path, clock):
    path = tmp_path / "lease"
    take(path, clock, 1000)
    write_holder(path, replace(holder(path), machine="elsewhere", pid=dead_pid()))
    assert take(path, clock, 1000) is None


def test_without_signs_of_life_it_is_stale_by_the_file_systems_clock(tmp_path, clock, monkeypatch):
    path = tmp_path / "lease"
    claim = take(path, clock, 10)
    monkeypatch.setattr(time, "time", lambda: 4e9)  # this machine's own clock is wrong by decades
    assert take(path, clock, 10) is None
    past = clock.now() - 11
    os.utime(path / "holder.json", (past, past))
    other = take(path, clock, 10, keep="lost-")
    assert other.held()
    assert len(list(tmp_path.glob("lost-*"))) == 1
    with pytest.raises(ClaimLost, match="lease"):
        _stopped_for_long(claim).check()


def _stopped_for_long(claim: Claim) -> Claim:
    claim._touched -= claim.stale_seconds
    return claim


def test_a_holder_that_was_stopped_but_not_robbed_goes_on(tmp_path, clock):
    claim = take(tmp_path / "lease", clock, 10)
    _stopped_for_long(claim).check()
    assert claim.held()


def test_a_reaper_that_looked_too_early_gives_back_what_it_took(tmp_path, clock):
    path = tmp_path / "lease"
    stale = Holder(machine(), dead_pid(), "", "old")
    fresh = take(path, clock, 10)
    claims._reap(path, stale, None)  # it judged the claim of "old", and finds another's
    assert fresh.held()


def test_of_many_that_reap_one_wins(tmp_path, clock):
    for attempt in range(20):
        path = tmp_path / f"lease-{attempt}"
        take(path, clock, 1000)
        write_holder(path, replace(holder(path), pid=dead_pid() if attempt == 0 else 2**22 + 1))
        won, start = [], threading.Barrier(8)

        def reap(path=path, won=won, start=start):
            start.wait()
            if (claim := take(path, clock, 1000)) is not None:
                won.append(claim)

        threads = [threading.Thread(target=reap) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) <= 1  # none, where all looked while one took it away: they come again
        won += [claim for claim in [take(path, clock, 1000)] if claim is not None]
        assert len(won) == 1
        assert won[0].held()


def test_a_reaper_that_died_holds_nobody_up(tmp_path, clock):
    for name in ("lease", "lease-reaper"):
        take(tmp_path / name, clock, 1000)
        write_holder(tmp_path / name, replace(holder(tmp_path / name), pid=dead_pid()))
    assert take(tmp_path / "lease", clock, 1000) is None
    assert take(tmp_path / "lease", clock, 1000).held()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lease"]


def test_optunas_own_lock_file_is_respected_until_it_is_stale(tmp_path, clock):
    path = tmp_path / "search.journal.lock"
    path.touch()
    assert take(path, clock, 10) is None
    past = clock.now() - 11
    os.utime(path, (past, past))
    assert take(path, clock, 10).held()


def test_optuna_respects_ours(tmp_path, clock):
    from optuna.storages.journal import JournalFileOpenLock

    path = tmp_path / "search.journal"
    claim = take(tmp_path / "search.journal.lock", clock, 10)
    theirs = JournalFileOpenLock(str(path))
    thread = threading.Thread(target=theirs.acquire)
    thread.start()
    thread.join(0.1)
    assert thread.is_alive()
    claim.release()
    thread.join(5)
    assert not thread.is_alive()
    assert take(tmp_path / "search.journal.lock", clock, 10) is None
    theirs.release()


def test_a_folder_that_cannot_be_written_is_told(tmp_path, clock):
    with pytest.raises(StorageError, match="cannot write .*lease: there is no folder "):
        take(tmp_path / "missing" / "lease", clock, 10)


def test_a_beating_heart_keeps_claims(tmp_path, clock):
    with Heart(clock, 0.4) as heart:
        claim = heart.take(tmp_path / "lease")
        write_holder(tmp_path / "lease", replace(holder(tmp_path / "lease"), machine="elsewhere"))
        for _ in range(10):
            time.sleep(0.1)
            assert take(tmp_path / "lease", clock, 0.4) is None
        assert claim.held()
        heart.release(claim)
    assert not (tmp_path / "lease").exists()


COUNT = """
import sys, time
from pathlib import Path
from dlcli.search.claims import FileClock
from dlcli.search.heart import Heart
folder = Path(sys.argv[1])
heart = Heart(FileClock(folder / "alive"), 20)
for _ in range(40):
    with heart.lock(folder / "lock"):
        value = int((folder / "count").read_text())
        time.sleep(0.0005)
        (folder / "count").write_text(str(value + 1))
"""


def test_a_lock_lets_one_in_at_a_time(tmp_path):
    (tmp_path / "count").write_text("0")
    workers = [subprocess.Popen([sys.executable, "-c", COUNT, str(tmp_path)]) for _ in range(3)]
    assert [worker.wait() for worker in workers] == [0, 0, 0]
    assert (tmp_path / "count").read_text() == "120"


def test_a_process_knows_when_it_started():
    assert process_started(os.getpid()) == process_started(os.getpid())
    assert process_started(2**22 + 1) == ""
