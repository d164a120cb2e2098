"""A search that is interrupted, killed, or worked on by several processes ends as one that nobody disturbed."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from killable import Trainer, appears
from safetensors.torch import load_file
from searches import DIGITS, facts

RECIPE = """
name = "killed"
seed = 3
[data]
path = "{data}"
preprocess = ["standardize"]
[model]
architecture = "mlp"
hidden = [16]
norm = "batch"
dropout = 0.2
[train]
epochs = 6
optimizer = {{ name = "adamw", lr = 3e-3 }}
schedule = {{ name = "cosine", warmup_epochs = 1 }}
checkpoint_seconds = 0
[tune]
method = "random"
trials = 9
population = 3
keep = 4
[tune.space]
"train.optimizer.lr" = {{ log_uniform = [1e-3, 1e-1] }}
"model.dropout" = {{ uniform = [0.0, 0.5] }}
"""


@pytest.fixture(scope="module")
def two():
    """Two processes that search."""
    trainers = (Trainer(), Trainer())
    yield trainers
    for trainer in trainers:
        trainer.close()


@pytest.fixture(scope="module")
def whole(two, tmp_path_factory):
    """What searches come to that nobody disturbs, by their options, and how long they take."""
    known = {}

    def make(**options):
        key = json.dumps(options)
        if key not in known:
            folder = recipe_in(tmp_path_factory.mktemp("whole"))
            start = time.monotonic()
            two[0].start(folder, function="tune", recipe="killed.toml", **options)
            assert two[0].wait() == 0
            known[key] = (outcome(folder / "runs/killed/0001"), time.monotonic() - start)
        return known[key]

    return make


def recipe_in(folder):
    (folder / "killed.toml").write_text(RECIPE.format(data=DIGITS))
    return folder


def outcome(run):
    """Everything that must not depend on who worked when: trials, scores, weights as bytes, final figures."""
    found = {}
    for plan in sorted(run.glob("populations/*/plan.json")):
        trials = json.loads(plan.read_text())["trials"]
        result = json.loads(plan.with_name("result.json").read_text())
        for trial, ended in zip(trials, result["outcomes"], strict=True):
            timeless = {key: value for key, value in ended.items() if key != "seconds"}
            found[f"{plan.parent.name}/{trial['trial']}"] = (trial["setting"], timeless, result["reports"])
    for file in [*run.glob("members/*/model/**/*.safetensors"), *run.glob("model/*.safetensors")]:
        tensors = {key: tensor.numpy().tobytes() for key, tensor in load_file(file).items()}
        found[str(file.relative_to(run))] = tensors
    timeless = ("status", "best_trial", "best_score", "epochs", "tuned", "untuned", "members", "train", "test")
    found["run"] = {key: facts(run)[key] for key in timeless}
    found["best"] = (run / "best.toml").read_text()
    return found


def leftovers(run):
    """Files and folders that only a search at work needs."""
    names = ("final", "untuned", "final.lock", "run.lock", "search.lock", "search.journal.lock")
    leases = [*run.glob("populations/*/lease"), *run.glob("populations/*/training/stacks")]
    return [path for path in (*(run / name for name in names), *leases) if path.exists()]


@pytest.mark.parametrize(
    ("options", "number"),
    [
        ({}, signal.SIGINT),
        ({"kfold": 2}, signal.SIGINT),
        ({"kfold": 2}, signal.SIGKILL),
        ({"stages": 2}, signal.SIGKILL),
    ],
    ids=["split-ctrl-c", "folds-ctrl-c", "folds-kill", "stages-kill"],
)
def test_the_same_command_goes_on_to_the_same_end(two, whole, tmp_path, options, number):
    expected, duration = whole(**options)
    recipe_in(tmp_path)
    run = tmp_path / "runs/killed/0001"
    moments = random.Random(f"{number} {options}")
    ended_early = 0
    for _ in range(3):
        pid = two[0].start(tmp_path, function="tune", recipe="killed.toml", **options)
        appears(run / "run.json")
        time.sleep(moments.uniform(0.05, duration / 3))
        two[0].kill(pid, number)
        status = two[0].wait()
        ended_early += status == signal.SIGKILL or facts(run)["status"] == "interrupted"
    two[0].start(tmp_path, function="tune", recipe="killed.toml", **options)
    assert two[0].wait() == 0
    assert outcome(run) == expected
    assert leftovers(run) == []
    assert ended_early >= 2, "most searches ended before they were disturbed: the test proved nothing"


def test_a_kill_while_the_final_models_are_made_changes_nothing(two, whole, tmp_path):
    expected, _ = whole()
    recipe_in(tmp_path)
    run = tmp_path / "runs/killed/0001"
    for _ in range(3):
        pid = two[0].start(tmp_path, function="tune", recipe="killed.toml")
        while facts(run)["status"] != "finished" if (run / "run.json").exists() else True:
            if (run / "final").exists() or (run / "untuned").exists():
                break
            time.sleep(0.001)
        two[0].kill(pid)
        two[0].wait()
    two[0].start(tmp_path, function="tune", recipe="killed.toml")
    assert two[0].wait() == 0
    assert outcome(run) == expected
    assert leftovers(run) == []


def test_of_two_that_lead_one_search_one_closes_it(two, whole, tmp_path):
    expected, _ = whole()
    recipe_in(tmp_path)
    run = tmp_path / "runs/killed/0001"
    two[0].start(tmp_path, function="tune", recipe="killed.toml")
    appears(run / "run.json")
    two[1].start(tmp_path, function="tune", recipe="killed.toml")
    assert [trainer.wait() for trainer in two] == [0, 0]
    assert outcome(run) == expected
    assert leftovers(run) == []
    assert [path.name for path in (tmp_path / "runs/killed").iterdir()] == ["0001"]


def test_whoever_is_killed_the_other_takes_over(two, whole, tmp_path):
    expected, duration = whole()
    recipe_in(tmp_path)
    run = tmp_path / "runs/killed/0001"
    moments = random.Random(1)
    pids = [two[0].start(tmp_path, function="tune", recipe="killed.toml")]
    appears(run / "run.json")
    pids.append(two[1].start(tmp_path, function="tune", recipe="killed.toml"))
    killed = 0
    for which in (0, 1, 0, 1):
        time.sleep(moments.uniform(0.05, duration / 4))
        two[which].kill(pids[which])
        killed += two[which].wait() == signal.SIGKILL
        pids[which] = two[which].start(tmp_path, function="tune", recipe="killed.toml")
    assert [trainer.wait() for trainer in two] == [0, 0]
    assert outcome(run) == expected
    assert leftovers(run) == []
    assert killed >= 2, "most searches ended before they were killed: the test proved nothing"


def child(pid):
    """Wait for the process that a process starts, and return its number."""
    deadline = time.monotonic() + 30
    while not (found := children(pid)):
        assert time.monotonic() < deadline, "no worker was started"
        time.sleep(0.01)
    return found[0]


def children(pid):
    """Processes that a process started."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            after = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(after[1]) == pid:
            found.append(int(stat.parent.name))
    return found


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="children are looked up in /proc")
@pytest.mark.parametrize("victim", ["leader", "worker"])
def test_two_real_workers_one_of_which_is_killed(whole, tmp_path, victim):
    expected, _ = whole()
    recipe_in(tmp_path)
    run = tmp_path / "runs/killed/0001"
    command = [sys.executable, "-m", "dlcli", "tune", "killed.toml", "--set", "train.epochs=6", "--workers", "2"]
    environment = {**os.environ, "DLCLI_PLUGINS": "", "OMP_NUM_THREADS": "1"}

    def start():
        return subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    leader = start()
    appears(run / "workers/worker-2.log")
    worker = child(leader.pid)
    if victim == "worker":
        os.kill(worker, signal.SIGKILL)
        said, wrong = leader.communicate(timeout=60)
        assert leader.returncode == 0, wrong.decode()
        assert re.search(r"worker 2 was ended by signal 9; others take over its work", said.decode())
    else:
        leader.kill()
        leader.communicate(timeout=60)
        second = start()
        _, wrong = second.communicate(timeout=60)
        assert second.returncode == 0, wrong.decode()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{worker}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{worker}").exists()
    assert outcome(run) == expected
    assert leftovers(run) == []
