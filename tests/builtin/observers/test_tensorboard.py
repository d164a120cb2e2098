import subprocess
import sys

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from dlcli import EpochRecord, RunInfo
from dlcli.plugins import Observers
from dlcli.testing import isolated_plugins


@pytest.fixture
def observers():
    return Observers(isolated_plugins())


def run_info(path, *, tensorboard):
    return RunInfo(path, "train", {"log": {"tensorboard": tensorboard}})


def record(epoch):
    return EpochRecord(epoch, 0.01 / epoch, {"train_loss": 1.0 / epoch, "val_accuracy": 0.5 + epoch / 10}, 0.2)


def train(observers, run, epochs, members=("",)):
    told = observers.notify("run_started", run=run)
    for member in members:
        for epoch in epochs:
            told += observers.notify("epoch_finished", run=run, member=member, record=record(epoch))
    return told + observers.notify("run_finished", run=run, summary={"status": "done"})


def scalars(path):
    events = EventAccumulator(str(path / "tensorboard"))
    events.Reload()
    return {
        tag: [(event.step, pytest.approx(event.value)) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }


def test_every_value_of_every_epoch_is_in_the_event_file(tmp_path, observers):
    assert train(observers, run_info(tmp_path, tensorboard=True), range(1, 4)) == []
    assert scalars(tmp_path) == {
        "train_loss": [(1, 1.0), (2, 0.5), (3, 1 / 3)],
        "val_accuracy": [(1, 0.6), (2, 0.7), (3, 0.8)],
        "learning_rate": [(1, 0.01), (2, 0.005), (3, 0.01 / 3)],
    }


def test_members_are_told_apart(tmp_path, observers):
    train(observers, run_info(tmp_path, tensorboard=True), [1], members=("fold-1", "fold-2"))
    assert set(scalars(tmp_path)) == {
        f"{name}/{member}"
        for name in ("train_loss", "val_accuracy", "learning_rate")
        for member in ("fold-1", "fold-2")
    }


def test_a_resumed_run_goes_on_in_a_file_beside_the_first(tmp_path, observers):
    run = run_info(tmp_path, tensorboard=True)
    train(observers, run, [1, 2])
    train(observers, run, [3])
    assert [step for step, _ in scalars(tmp_path)["train_loss"]] == [1, 2, 3]


def test_nothing_is_written_unless_the_recipe_asks(tmp_path, observers):
    assert train(observers, run_info(tmp_path, tensorboard=False), [1]) == []
    assert not list(tmp_path.iterdir())


def test_two_runs_at_once_have_files_of_their_own(tmp_path, observers):
    first, second = (run_info(tmp_path / name, tensorboard=True) for name in "ab")
    observers.notify("run_started", run=first)
    train(observers, second, [1])
    observers.notify("epoch_finished", run=first, member="", record=record(2))
    observers.notify("run_finished", run=first, summary={})
    assert [step for step, _ in scalars(first.path)["train_loss"]] == [2]
    assert [step for step, _ in scalars(second.path)["train_loss"]] == [1]


def test_a_missing_package_is_told_and_the_run_goes_on(tmp_path, observers, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    (told,) = train(observers, run_info(tmp_path, tensorboard=True), [1])
    assert "observer dlcli:observers failed in run_started and is not called again: ModuleNotFoundError" in told


def test_it_writes_under_warnings_as_errors_and_is_imported_only_when_wanted(tmp_path):
    script = (
        "import sys, pathlib\n"
        "from dlcli.builtin import observers\n"
        "assert 'torch' not in sys.modules and 'tensorboard' not in sys.modules\n"
        "from dlcli import EpochRecord, RunInfo\n"
        "run = RunInfo(pathlib.Path(sys.argv[1]), 'train', {'log': {'tensorboard': True}})\n"
        "observers.run_started(run)\n"
        "observers.epoch_finished(run, '', EpochRecord(1, 0.1, {'train_loss': 2.0}, 0.1))\n"
        "observers.run_finished(run, {})\n"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", script, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert scalars(tmp_path)["train_loss"] == [(1, 2.0)]
