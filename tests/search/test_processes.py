"""Several workers as processes: the same results as one, whoever is killed when."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dlcli.search.populations import read_plan, read_result
from dlcli.search.processes import follow_parent, start_workers
from dlcli.search.search_file import SearchFile

TOY = str(Path(__file__).with_name("toy.py"))


def worker(directory, seconds, *machine):
    return subprocess.Popen(
        [sys.executable, TOY, str(directory), str(seconds), *machine],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def end(process):
    """Wait for a worker to end, and return what it said."""
    _, said = process.communicate(timeout=60)
    return process.returncode, said.decode()


def outcomes(directory):
    """Score of every trial of a finished search, each planned and ended exactly once."""
    found, number = {}, 0
    while (population := read_plan(directory / "populations", number)) is not None:
        result = read_result(population)
        assert result is not None, f"population {number} has no result"
        for outcome in result.outcomes:
            assert outcome.trial not in found, f"trial {outcome.trial} ended twice"
            found[outcome.trial] = (dict(population.trials)[outcome.trial], outcome.score)
        number += 1
    return found


def started(directory, count=1):
    """Wait until so many populations are being run."""
    deadline = time.monotonic() + 30
    while len(list(directory.glob("populations/*/runs.txt"))) < count:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture(scope="module")
def alone(toy, tmp_path_factory):
    directory = tmp_path_factory.mktemp("alone")
    toy.make(directory, trials=24, population=2)
    toy.go(directory)
    return outcomes(directory)


@pytest.mark.parametrize("count", [2, 3])
def test_any_number_of_workers_gives_the_same_trials(toy, tmp_path, alone, count, load):
    toy.make(tmp_path, trials=24, population=2)
    processes = [worker(tmp_path, 0.02) for _ in range(count)]
    assert [end(process) for process in processes] == [(0, "")] * count
    assert outcomes(tmp_path) == alone
    runs = [path.read_text().split()[0] for path in tmp_path.glob("populations/*/runs.txt")]
    assert len(runs) == 12
    assert len(set(runs)) > 1  # the work was shared
    states = [(trial.number, trial.user_attrs["trial"], trial.state.name) for trial in load(tmp_path).trials]
    assert states == [(number, number, "COMPLETE") for number in range(24)]


@pytest.mark.parametrize("machines", [(), ("here", "there")], ids=["one machine", "two machines"])
@pytest.mark.parametrize("seed", range(2))
def test_killed_workers_lose_nothing(toy, tmp_path, alone, seed, machines, load):
    """Workers are killed and started at random moments, in the middle of a population, a plan or a line."""
    chance = random.Random(seed)
    toy.make(tmp_path, trials=24, population=2, lease_seconds=1.0)
    names = [machines[number % 2 : number % 2 + 1] for number in range(7)] if machines else [()] * 7
    processes = [worker(tmp_path, 0.05, *names[0]), worker(tmp_path, 0.05, *names[1])]
    started(tmp_path)
    for name in names[2:]:
        time.sleep(chance.uniform(0.1, 0.5))
        victim = processes.pop(chance.randrange(2))
        victim.kill()
        end(victim)
        processes.append(worker(tmp_path, 0.05, *name))
    assert [end(process) for process in processes] == [(0, "")] * 2
    assert outcomes(tmp_path) == alone
    assert [trial.state.name for trial in load(tmp_path).trials] == ["COMPLETE"] * 24
    assert not list(tmp_path.glob("populations/*/lease"))
    runs = [run.split()[0] for path in tmp_path.glob("populations/*/runs.txt") for run in path.read_text().splitlines()]
    assert len(runs) > 12  # some were taken over
    assert len(set(runs)) > 2


def test_a_killed_workers_population_is_taken_up_from_its_checkpoint_in_time(toy, tmp_path):
    toy.make(tmp_path, trials=2, epochs=40, population=2, lease_seconds=2.0)
    first = worker(tmp_path, 0.1)
    started(tmp_path)
    time.sleep(1)
    second = worker(tmp_path, 0.1)
    time.sleep(1)
    assert len((tmp_path / "populations/0000/runs.txt").read_text().splitlines()) == 1
    first.kill()
    killed = time.monotonic()
    while len(lines := (tmp_path / "populations/0000/runs.txt").read_text().splitlines()) < 2:
        assert time.monotonic() - killed < 2 + 5
        time.sleep(0.02)
    assert int(lines[1].split()[-1]) >= 5
    end(first)
    assert end(second) == (0, "")
    assert len(outcomes(tmp_path)) == 2


def test_a_stopped_worker_is_taken_over_and_drops_its_work_when_it_wakes(toy, tmp_path):
    """SIGSTOP stands for a machine that hangs: its process lives, but gives no sign of it."""
    toy.make(tmp_path, trials=4, epochs=20, population=2, lease_seconds=1.0)
    first = worker(tmp_path, 0.1)
    started(tmp_path)
    first.send_signal(signal.SIGSTOP)
    second = worker(tmp_path, 0.02)
    assert end(second) == (0, "")
    found = outcomes(tmp_path)
    first.send_signal(signal.SIGCONT)
    assert end(first) == (0, "")
    assert outcomes(tmp_path) == found
    assert len((tmp_path / "populations/0000/runs.txt").read_text().splitlines()) == 2


def test_interrupted_workers_save_and_the_same_command_goes_on(toy, tmp_path, alone):
    toy.make(tmp_path, trials=24, population=2)
    processes = [worker(tmp_path, 0.1) for _ in range(2)]
    started(tmp_path, 2)
    for process in processes:
        process.send_signal(signal.SIGINT)
    for process in processes:
        code, said = end(process)
        assert (code, said.strip()) == (130, "the search was stopped and its state saved; the same command goes on")
    assert not list(tmp_path.glob("populations/*/lease"))
    toy.go(tmp_path)
    assert outcomes(tmp_path) == alone


def test_helpers_work_beside_this_process_with_one_thread(toy, tmp_path, alone):
    toy.make(tmp_path, trials=24, population=2)
    with start_workers(3, [sys.executable, TOY, str(tmp_path), "0.02"], tmp_path) as helpers:
        toy.go(tmp_path, run=toy.run_by(0.1), helpers=helpers)
        assert helpers.wait() == []
    assert outcomes(tmp_path) == alone
    runs = [path.read_text().split()[0] for path in tmp_path.glob("populations/*/runs.txt")]
    assert len(set(runs)) > 1
    assert sorted(path.name for path in (tmp_path / "workers").iterdir()) == ["worker-2.log", "worker-3.log"]


def test_one_worker_needs_no_helpers(tmp_path):
    with start_workers(1, ["does-not-exist"], tmp_path) as helpers:
        assert helpers.troubles() == []
    assert not (tmp_path / "workers").exists()


def test_helpers_compute_with_one_thread_and_their_errors_are_told(tmp_path):
    code = "import os, sys; sys.exit('OMP_NUM_THREADS is ' + os.environ['OMP_NUM_THREADS'])"
    with start_workers(2, [sys.executable, "-c", code], tmp_path) as helpers:
        assert helpers.wait() == [
            "worker 2 ended with exit code 1; others take over its work. It said last: OMP_NUM_THREADS is 1"
        ]
        assert helpers.troubles() == []


def test_a_helper_that_was_killed_is_told(tmp_path):
    code = "import os; os.kill(os.getpid(), 9)"
    with start_workers(2, [sys.executable, "-c", code], tmp_path) as helpers:
        assert helpers.wait() == [
            "worker 2 was ended by signal 9; others take over its work. "
            f"It said nothing ({tmp_path / 'workers' / 'worker-2.log'} is empty)."
        ]


def test_leaving_with_an_error_ends_the_helpers(toy, tmp_path):
    toy.make(tmp_path, trials=1000, population=2)
    before = time.monotonic()

    def fail():
        with start_workers(2, [sys.executable, TOY, str(tmp_path), "0.1"], tmp_path):
            started(tmp_path)
            raise KeyError("gone")

    with pytest.raises(KeyError, match="gone"):
        fail()
    assert time.monotonic() - before < 30
    assert not list(tmp_path.glob("populations/*/lease"))  # it saved and gave up its work


def test_helpers_that_will_not_end_are_made_to(tmp_path):
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(600)"
    with start_workers(2, [sys.executable, "-c", code], tmp_path, patience=0.5) as helpers:
        process = helpers._processes[0][1][0]
        time.sleep(0.5)
    assert process.returncode == -signal.SIGKILL


def test_helpers_end_when_their_parent_is_killed(toy, tmp_path):
    toy.make(tmp_path, trials=1000, population=2)
    code = (
        "import sys, time; from pathlib import Path; from dlcli.search.processes import start_workers\n"
        f"start_workers(2, [sys.executable, {TOY!r}, {str(tmp_path)!r}, '0.1'], Path({str(tmp_path)!r}))\n"
        "time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code])
    started(tmp_path)
    child = int((tmp_path / "populations/0000/runs.txt").read_text().split()[0])
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 20
    while Path(f"/proc/{child}").exists() and "Z" not in Path(f"/proc/{child}/stat").read_text().split()[2]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert not list(tmp_path.glob("populations/*/lease"))


def test_a_process_that_was_not_started_here_follows_nobody(monkeypatch):
    monkeypatch.delenv("DLCLI_PARENT", raising=False)
    follow_parent(poll_seconds=0.01)
    time.sleep(0.05)
    assert os.getpid()  # still here


def test_joining_a_search_of_a_thousand_trials_takes_less_than_a_second(toy, tmp_path):
    toy.make(tmp_path, trials=1000, population=8, epochs=10)
    toy.go(tmp_path, run=toy.run_by(save=False))
    code = (
        "import sys, time; from pathlib import Path; import optuna.distributions\n"
        f"sys.path.insert(0, {str(Path(TOY).parent)!r}); import toy\n"
        "before = time.process_time()\n"
        f"state = toy.go(Path({str(tmp_path)!r}))\n"
        "print(time.process_time() - before, len(state.trials))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seconds, trials = done.stdout.split()
    assert int(trials) == 1000
    assert float(seconds) < 1.0
    assert SearchFile(tmp_path).read().budget.trials == 1000
