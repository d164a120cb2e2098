import csv

import dlcli_example
import pytest

from dlcli import EpochRecord, RunInfo
from dlcli.testing import isolated_plugins


def test_it_writes_a_line_an_epoch_and_member(tmp_path):
    hook = isolated_plugins("dlcli_example").manager.hook
    run = RunInfo(tmp_path, "train", {"log": {"tensorboard": False}})
    for member, epoch in (("fold-1", 1), ("fold-2", 1), ("fold-1", 2)):
        record = EpochRecord(epoch, 1e-3, {"train_loss": 1 / epoch, "val_loss": 2 / epoch}, 0.5)
        hook.epoch_finished(run=run, member=member, record=record)
    with (tmp_path / "epochs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["member"], row["epoch"]) for row in rows] == [("fold-1", "1"), ("fold-2", "1"), ("fold-1", "2")]
    assert rows[2] == {
        "member": "fold-1",
        "epoch": "2",
        "learning_rate": "0.001",
        "seconds": "0.5",
        "train_loss": "0.5",
        "val_loss": "1.0",
    }


def test_a_folder_that_is_gone_is_an_error_that_dlcli_reports(tmp_path):
    run = RunInfo(tmp_path / "gone", "train", {})
    with pytest.raises(FileNotFoundError):
        dlcli_example.epoch_finished(run, "", EpochRecord(1, 1e-3, {}, 0.1))
