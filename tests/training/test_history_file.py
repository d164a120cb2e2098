import math
from contextlib import closing

import pytest

from dlcli.contracts.history import EpochRecord
from dlcli.errors import DataError
from dlcli.training.history_file import HistoryFile


@pytest.fixture
def file(tmp_path):
    with closing(HistoryFile(tmp_path / "history.jsonl")) as file:
        yield file


def record(epoch, loss=0.1 + 0.2):
    return EpochRecord(epoch, 1e-3, {"train_loss": loss, "val_loss": 1 / 3}, 0.5)


def test_what_is_appended_is_read_back_to_the_bit(file):
    file.append("", record(1))
    file.append("fold-2", record(1, 7.0))
    assert file.read("") == (record(1),)
    assert file.read("fold-2") == (record(1, 7.0),)


def test_a_value_that_is_undefined_is_null_in_the_file(file):
    file.append("", record(1, math.nan))
    assert '"train_loss": null' in file.path.read_text()
    assert math.isnan(file.read("")[0].values["train_loss"])


def test_a_torn_last_line_is_dropped(file):
    file.append("", record(1))
    with file.path.open("a") as stream:
        stream.write('{"member": "", "epoch": 2, "lea')
    assert file.read("") == (record(1),)
    file.cut({"": 1})
    file.append("", record(2))
    assert [r.epoch for r in file.read("")] == [1, 2]


def test_cutting_one_member_leaves_the_others(file):
    for epoch in (1, 2, 3):
        file.append("a", record(epoch))
        file.append("b", record(epoch))
    file.cut({"a": 1})
    assert len(file.read("a")) == 1
    assert len(file.read("b")) == 3


def test_a_damaged_line_is_named(file):
    file.path.write_text("{}}\n{}\n")
    with pytest.raises(DataError, match=r"history\.jsonl:1 is damaged"):
        file.read("")
