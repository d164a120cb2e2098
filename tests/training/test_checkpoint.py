import json

import pytest
import torch

from dlcli.contracts.history import EpochRecord, History
from dlcli.contracts.member import Keep
from dlcli.errors import DataError, StorageError
from dlcli.training.checkpoint import Checkpoints, State, rank


def history(*scores, direction="min"):
    records = tuple(EpochRecord(i + 1, 0.1, {"val_loss": score}, 0.0) for i, score in enumerate(scores))
    return History(records, "val_loss", direction)


def state(epoch, best_epoch=None):
    tensors = {"weight": torch.full((2,), float(epoch))}
    best = best_epoch or epoch
    progress = {"best_epoch": best, "stopped": None, "pruned": False, "failure": None}
    return State(
        epoch, tensors, {"0.step": torch.tensor(3.0)}, best, {"weight": torch.full((2,), float(best))}, progress
    )


def epochs(folder):
    return sorted(int(path.name.split("-")[1]) for path in folder.glob("epoch-*"))


def test_rank_prefers_earlier_of_equals_and_puts_nan_last():
    assert rank(history(0.3, float("nan"), 0.1, 0.1)) == [3, 4, 1, 2]
    assert rank(history(0.3, 0.5, 0.1, direction="max")) == [2, 1, 3]


def test_what_is_written_is_read_back(tmp_path):
    checkpoints = Checkpoints(tmp_path, Keep())
    checkpoints.write(state(2, best_epoch=1), history(0.1, 0.2))
    found = checkpoints.read()
    assert (found.epoch, found.best_epoch, found.progress["stopped"]) == (2, 1, None)
    assert torch.equal(found.network["weight"], torch.tensor([2.0, 2.0]))
    assert torch.equal(found.best["weight"], torch.tensor([1.0, 1.0]))
    assert torch.equal(found.optimizer["0.step"], torch.tensor(3.0))
    assert (tmp_path / "epoch-0002-val_loss-0.2000").is_dir()


def test_best_and_last_stay_by_default(tmp_path):
    checkpoints = Checkpoints(tmp_path, Keep())
    scores = [0.5, 0.1, 0.4, 0.3]
    for epoch in range(1, 5):
        so_far = history(*scores[:epoch])
        if epoch == 2:
            checkpoints.write_parameters(2, {"weight": torch.zeros(2)}, so_far)
        checkpoints.write(state(epoch, rank(so_far)[0]), so_far)
    assert epochs(tmp_path) == [2, 4]
    assert not (tmp_path / "epoch-0002-val_loss-0.1000/training.json").exists()
    assert checkpoints.read().epoch == 4


def test_more_can_be_kept(tmp_path):
    checkpoints = Checkpoints(tmp_path, Keep(best=0, last=2, every_epochs=2))
    for epoch in range(1, 6):
        checkpoints.write(state(epoch), history(*[1.0] * epoch))
    assert epochs(tmp_path) == [2, 4, 5]


def test_a_half_written_checkpoint_is_not_seen(tmp_path):
    checkpoints = Checkpoints(tmp_path, Keep())
    checkpoints.write(state(1), history(0.1))
    (tmp_path / ".partial-epoch-0002-val_loss-0.0000").mkdir()
    assert checkpoints.read().epoch == 1


@pytest.mark.parametrize("name", ["network.safetensors", "training.safetensors", "training.json"])
def test_a_damaged_file_is_named(tmp_path, name):
    checkpoints = Checkpoints(tmp_path, Keep())
    checkpoints.write(state(1), history(0.1))
    file = tmp_path / "epoch-0001-val_loss-0.1000" / name
    file.write_bytes(file.read_bytes()[:7])
    with pytest.raises(DataError, match=f"cannot read .*{name}.*restore it from a copy"):
        checkpoints.read()


def test_another_format_is_refused(tmp_path):
    checkpoints = Checkpoints(tmp_path, Keep())
    checkpoints.write(state(1), history(0.1))
    file = tmp_path / "epoch-0001-val_loss-0.1000/training.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "format": 99}))
    with pytest.raises(DataError, match="has format 99; this dlcli reads format 1"):
        checkpoints.read()


def test_a_full_disk_leaves_earlier_checkpoints_whole(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path, Keep())
    checkpoints.write(state(1), history(0.1))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("dlcli.training.checkpoint.save_file", full)
    with pytest.raises(StorageError, match=r"cannot write .*: No space left on device; free some space"):
        checkpoints.write(state(2), history(0.1, 0.2))
    assert checkpoints.read().epoch == 1
    assert not list(tmp_path.glob(".partial-*"))
