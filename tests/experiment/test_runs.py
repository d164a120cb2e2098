import json
import os
import socket
import subprocess
import sys

import pytest

from dlcli.errors import UsageError
from dlcli.experiment.runs import list_runs, read_run


@pytest.fixture
def runs(tmp_path):
    """Return a function that makes a run directory, as training does."""

    def make(name, number, **entries):
        directory = tmp_path / "runs" / name / number
        directory.mkdir(parents=True)
        record = {
            "format": 1,
            "command": "train",
            "name": name,
            "status": "finished",
            "started": "2026-01-02T03:04:05+00:00",
            "seconds": 4.5,
            "monitor": "val_loss",
            "direction": "min",
            "best_epoch": 7,
            "best_score": 0.25,
            "epochs": 12,
            "train": {"loss": 0.1},
            "val": {"loss": 0.25},
            "test": {"loss": 0.3, "accuracy": 0.9},
            "error": None,
        }
        (directory / "run.json").write_text(json.dumps({**record, **entries}))
        return directory

    make.root = tmp_path / "runs"
    return make


def labels(rows):
    return [f"{row.name}/{row.run.name}" for row in rows]


def test_a_row_says_what_run_json_says(runs):
    row = read_run(runs("digits", "0001"))
    assert (row.name, row.status, row.command, row.monitor, row.direction) == (
        "digits",
        "finished",
        "train",
        "val_loss",
        "min",
    )
    assert (row.best_score, row.best_epoch, row.epochs, row.seconds) == (0.25, 7, 12, 4.5)
    assert row.started.timestamp() == 1767323045
    assert row.test == {"loss": 0.3, "accuracy": 0.9}
    assert row.problem is None


def test_a_row_becomes_json(runs):
    table = read_run(runs("digits", "0001")).as_json()
    assert json.loads(json.dumps(table)) == table
    assert table["run"].endswith("runs/digits/0001")
    assert table["test"]["accuracy"] == 0.9


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "run.json"),
        ("{", "run.json"),
        ("[]", "format"),
        ('{"format": 99}', "format"),
        ('{"format": 1}', "KeyError: 'status'"),
        ('{"format": 1, "status": "asleep", "started": "2026-01-02T03:04:05+00:00"}', "unknown status 'asleep'"),
        ('{"format": 1, "status": "finished", "started": "yesterday"}', "yesterday"),
        ('{"format": 1, "status": "finished", "started": "2026-01-02", "epochs": "many"}', "many"),
    ],
)
def test_a_damaged_run_is_shown_as_such_beside_the_others(runs, content, problem):
    runs("digits", "0001")
    damaged = runs.root / "digits" / "0002"
    damaged.mkdir()
    if content is not None:
        (damaged / "run.json").write_text(content)
    rows = {row.run.name: row for row in list_runs(runs.root)}
    assert rows["0001"].status == "finished"
    assert rows["0002"].status == "damaged"
    assert problem in rows["0002"].problem


def gone_process():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_run_whose_process_is_gone_was_killed(runs):
    here = {"status": "running", "host": socket.gethostname()}
    assert read_run(runs("a", "0001", **here, pid=gone_process())).status == "killed"
    assert read_run(runs("a", "0002", **here, pid=os.getppid())).status == "running"


def test_a_process_of_another_machine_cannot_be_asked(runs):
    row = read_run(runs("a", "0001", status="running", host="elsewhere.example", pid=gone_process()))
    assert row.status == "running"


def test_other_things_in_the_folder_are_passed_over(runs):
    runs("digits", "0001")
    (runs.root / "digits" / "notes").mkdir()
    (runs.root / "digits" / "0002").write_text("a file")
    (runs.root / "README.md").write_text("mine")
    assert labels(list_runs(runs.root)) == ["digits/0001"]


def test_no_folder_no_runs(tmp_path):
    assert list_runs(tmp_path / "nowhere") == []


def test_numbers_sort_as_numbers(runs):
    for number in ("0002", "10000", "9999"):
        runs("a", number)
    assert labels(list_runs(runs.root, sort="name")) == ["a/0002", "a/9999", "a/10000"]


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("name", ["a/0001", "b/0001", "c/0001", "d/0001"]),
        ("when", ["b/0001", "c/0001", "a/0001", "d/0001"]),
        ("time", ["c/0001", "a/0001", "b/0001", "d/0001"]),
        ("epochs", ["b/0001", "a/0001", "c/0001", "d/0001"]),
        ("status", ["b/0001", "c/0001", "a/0001", "d/0001"]),
    ],
)
def test_sorting(runs, sort, expected):
    runs("a", "0001", started="2026-01-01T00:00:00+00:00", seconds=5, epochs=5, status="failed")
    runs("b", "0001", started="2026-01-03T00:00:00+00:00", seconds=1, epochs=9)
    # The same instant as noon UTC, written elsewhere: later than a, earlier than b.
    runs("c", "0001", started="2026-01-02T21:00:00+09:00", seconds=9, epochs=1)
    (runs.root / "d" / "0001").mkdir(parents=True)
    assert labels(list_runs(runs.root, sort=sort)) == expected


def test_best_puts_one_monitor_together_and_obeys_its_direction(runs):
    runs("a", "0001", best_score=0.3)
    runs("a", "0002", best_score=0.2)
    runs("a", "0003", best_score=None)
    runs("a", "0004", best_score=float("nan"))
    runs("b", "0001", best_score=0.8, monitor="val_accuracy", direction="max")
    runs("b", "0002", best_score=0.9, monitor="val_accuracy", direction="max")
    best = ["b/0002", "b/0001", "a/0002", "a/0001", "a/0003", "a/0004"]
    assert labels(list_runs(runs.root, sort="best")) == best
    reverse = ["a/0001", "a/0002", "b/0001", "b/0002", "a/0003", "a/0004"]
    assert labels(list_runs(runs.root, sort="best", reverse=True)) == reverse


def test_filters(runs):
    runs("digits-mlp", "0001")
    runs("digits-cnn", "0001", status="failed", error="the loss became NaN")
    runs("wine", "0001")
    assert labels(list_runs(runs.root, name="digits", sort="name")) == ["digits-cnn/0001", "digits-mlp/0001"]
    failed = list_runs(runs.root, status="failed")
    assert labels(failed) == ["digits-cnn/0001"]
    assert failed[0].problem == "the loss became NaN"


def test_unknown_choices_are_refused(tmp_path):
    with pytest.raises(UsageError, match="unknown --sort 'size'; there are best, name, when, time, epochs, status"):
        list_runs(tmp_path, sort="size")
    with pytest.raises(UsageError, match="unknown --status 'dead'; there are finished, interrupted, failed, running,"):
        list_runs(tmp_path, status="dead")
