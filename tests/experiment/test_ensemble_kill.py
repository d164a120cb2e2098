"""An ensemble killed or interrupted at any moment and resumed ends with the bits of one that never was."""

import json
import os
import random
import shutil
import signal
import time
from pathlib import Path

import h5py
import pytest
import torch
from ensembles import DIGITS, bits_of, facts_of, network
from killable import Trainer, appears
from safetensors.torch import load_file

from dlcli.errors import DataError
from dlcli.experiment.ensemble import ensemble
from dlcli.experiment.evaluate import evaluate
from dlcli.report.ensemble_plain import QuietEnsembleDisplay

RECIPE = """
name = "killed"
seed = 3
[data]
path = "{data}"
preprocess = ["standardize"]
[model]
architecture = "mlp"
hidden = [32, 32]
norm = "batch"
dropout = 0.2
[train]
epochs = 10
optimizer = {{ name = "adamw", lr = 3e-3 }}
schedule = {{ name = "cosine", warmup_epochs = 1 }}
{checkpoints}
[[regularizers]]
name = "early_stopping"
patience = 5
[ensemble]
strategy = {{ {strategy} }}
members = 3
"""
TIMES = {"started", "finished", "seconds", "pid", "host", "notes", "relative_seconds"}


@pytest.fixture(scope="module")
def trainer():
    trainer = Trainer()
    yield trainer
    trainer.close()


def timeless(value):
    """The same without what depends on when and how often."""
    if isinstance(value, dict):
        return {key: timeless(item) for key, item in value.items() if key not in TIMES}
    return [timeless(item) for item in value] if isinstance(value, list) else value


def outcome(run: Path) -> dict[str, object]:
    """Everything that must not depend on interruptions."""
    # What a kill left half-written or half-removed is never read again.
    found: dict[str, object] = {name: bits for name, bits in bits_of(run).items() if ".partial-" not in name}
    lines = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    # Members that train in turn append to one history: its order across members tells when they were interrupted.
    found["history"] = sorted(timeless(lines), key=lambda line: (line["member"], line["epoch"]))
    found["run"] = timeless(facts_of(run))
    found["recipe"] = (run / "recipe.toml").read_text()
    found["model"] = (run / "model/model.json").read_text()
    folders = [str(path.relative_to(run)) for path in run.rglob("*") if path.is_dir()]
    found["folders"] = sorted(name for name in folders if ".partial-" not in name)
    for name in ("oob.h5", "oof.h5"):
        if (run / name).exists():
            with h5py.File(run / name) as file:
                found[name] = {key: file[key][:].tobytes() for key in file}
    return found


def make(trainer, folder, runs, **arguments):
    trainer.start(folder, function="ensemble", runs=runs, **arguments)
    assert trainer.wait() == 0


def write(folder, strategy="bagging", checkpoints="checkpoint_seconds = 0"):
    named = f'name = "{strategy}"' + (", folds = 2, meta_epochs = 5" if strategy == "stacking" else "")
    text = RECIPE.format(data=DIGITS, strategy=named, checkpoints=checkpoints)
    (folder / "killed.toml").write_text(text)


@pytest.mark.parametrize("checkpoints", ["checkpoint_seconds = 0", ""], ids=["every-epoch", "default"])
def test_kills_in_the_middle_of_a_bag_change_nothing(trainer, tmp_path, checkpoints):
    write(tmp_path, checkpoints=checkpoints)
    start = time.monotonic()
    make(trainer, tmp_path, "whole", sources=["killed.toml"])
    duration = time.monotonic() - start
    whole = outcome(tmp_path / "whole/killed/0001")
    assert "oob.h5" in whole
    moments = random.Random(len(checkpoints))
    killed = 0
    for number in range(1, 5):
        run = tmp_path / f"parts/killed/{number:04d}"
        pid = trainer.start(tmp_path, function="ensemble", sources=["killed.toml"], runs="parts")
        appears(run / "run.json")
        time.sleep(moments.uniform(0, duration))
        trainer.kill(pid)
        killed += trainer.wait() == signal.SIGKILL
        make(trainer, tmp_path, "parts", resume=str(run))
        assert outcome(run) == whole
    assert killed >= 2, "most ensembles ended before they were killed: the test proved nothing"


@pytest.mark.parametrize("strategy", ["bagging", "gradient_boosting", "stacking"])
def test_one_kill_after_another_changes_nothing(trainer, tmp_path, strategy):
    write(tmp_path, strategy)
    start = time.monotonic()
    make(trainer, tmp_path, "whole", sources=["killed.toml"])
    duration = time.monotonic() - start
    moments = random.Random(5)
    run = tmp_path / "parts/killed/0001"
    arguments = {"sources": ["killed.toml"]}
    killed = 0
    for _ in range(2):
        pid = trainer.start(tmp_path, function="ensemble", runs="parts", **arguments)
        appears(run / "run.json")
        time.sleep(moments.uniform(0.1, 0.6) * duration)
        trainer.kill(pid)
        killed += trainer.wait() == signal.SIGKILL
        arguments = {"resume": str(run)}
    make(trainer, tmp_path, "parts", **arguments)
    assert outcome(run) == outcome(tmp_path / "whole/killed/0001")
    assert killed >= 1, "most ensembles ended before they were killed: the test proved nothing"


def test_a_kill_between_rounds_changes_nothing(trainer, tmp_path):
    write(tmp_path, "gradient_boosting")
    make(trainer, tmp_path, "whole", sources=["killed.toml"])
    whole = outcome(tmp_path / "whole/killed/0001")
    for number, last in enumerate(("round-0", "round-2"), start=1):
        run = tmp_path / f"parts/killed/{number:04d}"
        pid = trainer.start(tmp_path, function="ensemble", sources=["killed.toml"], runs="parts")
        appears(run / "members" / last / "training.json")
        trainer.kill(pid)
        assert trainer.wait() == signal.SIGKILL
        before = {path: path.stat().st_mtime_ns for path in (run / "members/round-0/model").iterdir()}
        make(trainer, tmp_path, "parts", resume=str(run))
        assert outcome(run) == whole
        assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_kill_while_members_are_written_changes_nothing(folder, plugins):
    """Members that trained together, some of which were written before the end came."""
    recipe = network(train={"checkpoint_seconds": 0.0}, ensemble={"strategy": "bagging", "members": 3})
    run = ensemble(recipe, plugins=plugins).run
    whole = outcome(run)
    for lost in (["bag-1", "bag-2"], ["bag-0"]):
        for name in lost:
            (run / f"members/{name}/training.json").unlink()
            shutil.rmtree(run / f"members/{name}/model")
        shutil.rmtree(run / "model")
        run_json = facts_of(run)
        (run / "run.json").write_text(json.dumps({**run_json, "status": "running", "pid": os.getpid()}))
        ensemble(resume=run, plugins=plugins)
        assert outcome(run) == whole


class Interrupting(QuietEnsembleDisplay):
    """Sends this process SIGINT, as Ctrl-C does, when epochs of all members together are so many."""

    def __init__(self, after: int) -> None:
        self.left = after

    def epoch_finished(self, member, record, history):
        self.left -= 1
        if not self.left:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize(
    ("strategy", "after"), [("bagging", 1), ("bagging", 5), ("gradient_boosting", 6), ("snapshot", 3), ("ema", 2)]
)
def test_ctrl_c_saves_and_resuming_gives_the_same_bits(folder, plugins, strategy, after):
    model = {"architecture": "mlp", "hidden": [12], "dropout": 0.2, "norm": "batch"}
    section = {"strategy": strategy, **({} if strategy == "ema" else {"members": 2})}
    recipe = network(model=model, train={"checkpoint_seconds": 0.0}, ensemble=section)
    whole = ensemble(recipe, plugins=plugins)
    broken = ensemble(recipe, plugins=plugins, display=Interrupting(after))
    assert (broken.status, facts_of(broken.run)["status"]) == ("interrupted", "interrupted")
    assert not (broken.run / "model").exists()
    assert not (broken.run / "oob.h5").exists()
    assert broken.test is None
    again = ensemble(resume=broken.run, plugins=plugins)
    assert again.status == "finished"
    assert outcome(again.run) == outcome(whole.run)


def test_ctrl_c_tells_the_command_that_goes_on(folder, trainer, plugins):
    write(folder, "gradient_boosting")
    pid = trainer.start(folder, function="ensemble", sources=["killed.toml"], runs="runs")
    appears(folder / "runs/killed/0001/members/round-0/training.json")
    trainer.kill(pid, signal.SIGINT)
    assert trainer.wait() == 0
    assert facts_of(folder / "runs/killed/0001")["status"] == "interrupted"
    with pytest.raises(DataError, match=r"has no model yet .*go on with dlcli ensemble --resume runs/killed/0001"):
        evaluate("killed", plugins=plugins)


def test_resuming_what_is_finished_changes_nothing(folder, plugins):
    recipe = network(ensemble={"strategy": "bagging", "members": 2})
    first = ensemble(recipe, plugins=plugins)
    before = outcome(first.run)
    times = {path: path.stat().st_mtime_ns for path in (first.run / "members").rglob("*") if path.is_file()}
    again = ensemble(resume=first.run, plugins=plugins)
    assert outcome(first.run) == before
    assert dict(again.test) == dict(first.test)
    assert {path: path.stat().st_mtime_ns for path in (first.run / "members").rglob("*") if path.is_file()} == times


@pytest.mark.parametrize("strategy", ["voting", "bagging", "adaboost", "gradient_boosting"])
def test_a_finished_ensemble_grows_by_new_members_alone(folder, plugins, strategy):
    recipe = network(train={"epochs": 2}, ensemble={"strategy": strategy, "members": 3})
    small = ensemble(recipe, plugins=plugins)
    assert small.extends
    old = {path: path.stat().st_mtime_ns for path in (small.run / "members").rglob("*") if path.is_file()}
    bits = {name: value for name, value in bits_of(small.run).items() if name.startswith("members")}
    grown = ensemble(resume=small.run, members=6, plugins=plugins)
    assert grown.run == small.run
    assert len(grown.members) == 6
    assert {path: path.stat().st_mtime_ns for path in old} == old
    assert {name: value for name, value in bits_of(small.run).items() if name in bits} == bits
    assert facts_of(small.run)["recipe"]["ensemble"]["members"] == 6
    fresh = ensemble(network(train={"epochs": 2}, ensemble={"strategy": strategy, "members": 6}), plugins=plugins)
    assert [member.identity for member in fresh.members] == [member.identity for member in grown.members]
    for member in fresh.members:
        file = f"members/{member.identity}/model/model.safetensors"
        first, second = load_file(fresh.run / file), load_file(grown.run / file)
        for name in first:
            torch.testing.assert_close(first[name], second[name], rtol=1e-3, atol=1e-4)
    assert dict(grown.test) == pytest.approx(dict(fresh.test), rel=1e-2)
