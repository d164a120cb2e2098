"""A run killed with SIGKILL at any moment and resumed ends with the bits of one that was never interrupted."""

import json
import random
import signal
import time
from pathlib import Path

import h5py
import pytest
from killable import Trainer
from safetensors.torch import load_file

DIGITS = Path(__file__).parents[2] / "recipes/digits/digits.h5"
RECIPE = """
name = "killed"
seed = 3
[data]
path = "{data}"
preprocess = ["standardize"]
[model]
architecture = "mlp"
hidden = [64, 64]
norm = "batch"
dropout = 0.2
[train]
epochs = 40
optimizer = {{ name = "adamw", lr = 3e-3 }}
schedule = {{ name = "cosine_restarts", warmup_epochs = 1, period_epochs = 5 }}
keep_checkpoints = {{ best = 2, last = 1 }}
{checkpoints}
[[regularizers]]
name = "l2"
[[regularizers]]
name = "early_stopping"
patience = 30
"""


@pytest.fixture(scope="module")
def trainer():
    trainer = Trainer()
    yield trainer
    trainer.close()


def outcome(run: Path) -> dict[str, object]:
    """Everything that must not depend on interruptions: tensors as bytes, history and summary without times."""
    assert not list(run.rglob(".partial-*"))
    found: dict[str, object] = {}
    for file in sorted(run.rglob("*.safetensors")):
        name = str(file.relative_to(run))
        found |= {f"{name}:{key}": tensor.numpy().tobytes() for key, tensor in load_file(file).items()}
    lines = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    found["history"] = [{key: value for key, value in line.items() if key != "seconds"} for line in lines]
    facts = json.loads((run / "run.json").read_text())
    timeless = {"status", "epochs", "best_epoch", "best_score", "selected_epoch", "stopped", "train", "val", "test"}
    timeless |= {"population"}
    found["run"] = {key: facts.get(key) for key in timeless}
    found["members"] = [{key: entry[key] for key in entry if key != "seconds"} for entry in facts.get("members", ())]
    if (run / "oof.h5").exists():
        with h5py.File(run / "oof.h5") as file:
            found["oof"] = {name: file[name][:].tobytes() for name in file}
    return found


@pytest.mark.parametrize("checkpoints", ["checkpoint_seconds = 0", ""], ids=["every-epoch", "default"])
def test_ten_kills_change_nothing(trainer, tmp_path, checkpoints):
    (tmp_path / "killed.toml").write_text(RECIPE.format(data=DIGITS, checkpoints=checkpoints))
    start = time.monotonic()
    trainer.start(tmp_path, recipe="killed.toml", runs="whole")
    assert trainer.wait() == 0
    duration = time.monotonic() - start
    whole = outcome(tmp_path / "whole/killed/0001")
    moments = random.Random(len(checkpoints))
    killed = 0
    for number in range(1, 11):
        run = tmp_path / f"parts/killed/{number:04d}"
        pid = trainer.start(tmp_path, recipe="killed.toml", runs="parts")
        while not (run / "run.json").exists():
            time.sleep(0.001)
        time.sleep(moments.uniform(0, duration))
        trainer.kill(pid)
        killed += trainer.wait() == signal.SIGKILL
        trainer.start(tmp_path, resume=str(run), runs="parts")
        assert trainer.wait() == 0
        assert outcome(run) == whole
    assert killed >= 5, "most trainings ended before they were killed: the test proved nothing"


def test_many_kills_of_one_run_change_nothing(trainer, tmp_path):
    (tmp_path / "killed.toml").write_text(RECIPE.format(data=DIGITS, checkpoints="checkpoint_seconds = 0"))
    trainer.start(tmp_path, recipe="killed.toml", runs="whole")
    assert trainer.wait() == 0
    moments = random.Random(5)
    arguments: dict[str, object] = {"recipe": "killed.toml"}
    run = tmp_path / "parts/killed/0001"
    for _ in range(6):
        pid = trainer.start(tmp_path, runs="parts", **arguments)
        while not (run / "run.json").exists():
            time.sleep(0.001)
        time.sleep(moments.uniform(0.02, 0.25))
        trainer.kill(pid)
        trainer.wait()
        arguments = {"resume": str(run)}
    trainer.start(tmp_path, runs="parts", **arguments)
    assert trainer.wait() == 0
    assert outcome(run) == outcome(tmp_path / "whole/killed/0001")


@pytest.mark.parametrize("options", [{"seeds": 3}, {"kfold": 3}], ids=["seeds", "folds"])
def test_kills_change_nothing_for_several_members(trainer, tmp_path, options):
    (tmp_path / "killed.toml").write_text(RECIPE.format(data=DIGITS, checkpoints="checkpoint_seconds = 0"))
    start = time.monotonic()
    trainer.start(tmp_path, recipe="killed.toml", runs="whole", **options)
    assert trainer.wait() == 0
    duration = time.monotonic() - start
    moments = random.Random(3)
    run = tmp_path / "parts/killed/0001"
    arguments: dict[str, object] = {"recipe": "killed.toml", **options}
    killed = 0
    for _ in range(5):
        pid = trainer.start(tmp_path, runs="parts", **arguments)
        while not (run / "run.json").exists():
            time.sleep(0.001)
        time.sleep(moments.uniform(0.05, duration / 3))
        trainer.kill(pid)
        killed += trainer.wait() == signal.SIGKILL
        arguments = {"resume": str(run)}
    trainer.start(tmp_path, runs="parts", **arguments)
    assert trainer.wait() == 0
    whole, parts = outcome(tmp_path / "whole/killed/0001"), outcome(run)
    # Members that train in turn append to one history: its order across members tells when they were interrupted.
    for found in (whole, parts):
        found["history"] = sorted(found["history"], key=lambda line: (line["member"], line["epoch"]))
    assert parts == whole
    assert killed >= 3, "most trainings ended before they were killed: the test proved nothing"
