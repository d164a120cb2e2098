import errno
import json
import os

import optuna
import pytest
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from dlcli.errors import DataError, StorageError
from dlcli.search.claims import FileClock
from dlcli.search.heart import Heart
from dlcli.search.journal import Journal
from dlcli.search.replay import FORMAT, MARK

STUDY = {"op_code": 0, "study_name": "a/stage-1", "directions": [1]}
TRIAL = {"op_code": 4, "study_id": 0, "datetime_start": None, "user_attrs": {"trial": 5}}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "search.journal"


@pytest.fixture
def opened(path):
    def opened():
        return Journal(path, Heart(FileClock(path.with_name("alive")), 20))

    return opened


def storage(path):
    backend = JournalFileBackend(str(path), lock_obj=JournalFileOpenLock(str(path)))
    return optuna.storages.JournalStorage(backend)


def read(journal):
    with journal.opened():
        return journal.replay


def write(journal, *operations):
    with journal.opened():
        journal.append(operations)


def test_what_is_appended_is_read_by_optuna_and_by_another(path, opened):
    journal = opened()
    write(journal, STUDY, TRIAL, TRIAL)
    assert [
        len(study.get_trials()) for study in [optuna.load_study(study_name="a/stage-1", storage=storage(path))]
    ] == [2]
    found = read(opened())
    assert found.studies["a/stage-1"].trials == {5: 0}  # the first, where one was written twice
    assert not path.with_name("search.journal.lock").exists()


def test_it_counts_as_optuna_does_whatever_else_is_in_the_journal(path, opened):
    mine = opened()
    write(mine, STUDY, TRIAL)
    others = storage(path)
    foreign = optuna.create_study(study_name="foreign", storage=others)
    foreign.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
    doomed = optuna.create_study(study_name="doomed", storage=others)
    doomed.enqueue_trial({"x": 1})
    optuna.delete_study(study_name="doomed", storage=others)
    optuna.load_study(study_name="a/stage-1", storage=others).set_user_attr("note", "hello")
    again = optuna.create_study(study_name="doomed", storage=others)
    again.add_trial(optuna.create_trial(value=1.0))
    write(
        mine,
        {**TRIAL, "user_attrs": {"trial": 6}},
        {**TRIAL, "study_id": 1},
        {"op_code": 8, "trial_id": 6, "user_attr": {"a": 1}},
    )
    for replay in (mine.replay, read(opened())):
        assert replay.studies["a/stage-1"].trials == {5: 0, 6: 6}
        assert replay.studies["doomed"].number == 3
        assert [trial.ended for trial in replay.trials] == [False, True, True, True, False, True, False, False]
        assert replay.trials[6].attributes == {"trial", "a"}
    own = optuna.load_study(study_name="a/stage-1", storage=storage(path)).get_trials()
    assert [trial._trial_id for trial in own] == [0, 6]
    assert own[1].user_attrs == {"trial": 6, "a": 1}


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_torn_last_line_is_cut_off(path, opened, cut):
    write(opened(), STUDY, TRIAL)
    whole = path.read_bytes()
    torn = json.dumps({**TRIAL, "worker_id": "killed"}).encode()[:cut]
    path.write_bytes(whole + torn)
    journal = opened()
    assert len(read(journal).trials) == 1
    assert path.read_bytes() == whole
    write(journal, TRIAL)
    assert len(storage(path).get_all_trials(0)) == 2


def test_zeros_that_a_power_failure_left_are_cut_off(path, opened):
    write(opened(), STUDY)
    whole = path.read_bytes()
    path.write_bytes(whole + b"\0" * 100)
    read(opened())
    assert path.read_bytes() == whole


@pytest.mark.parametrize(
    ("text", "line", "cause"),
    [
        (b"SQLite format 3\0 and so on", 1, "it is no JSON"),
        (b"hello\n", 1, "it is no JSON: Expecting value"),
        (b"\x80abc\n", 1, "it is no text"),
        (b"[1]\n", 1, "it is no operation of Optuna 5: TypeError"),
        (b'{"event": "start"}\n', 1, r"it is no operation of Optuna 5: KeyError\('op_code'\)"),
        (b'{"op_code": 99, "worker_id": "w"}\n', 1, "99 is not a valid Operation"),
        (b'{"op_code": 0, "worker_id": "w", "study_name": "a", "directions": [1]}\n{"op_code"\n{}\n', 2, "no JSON"),
        (b'{"op_code": 2, "worker_id": "w", "study_id": 0, "user_attr": {"%s": %d}}\n' % (MARK.encode(), FORMAT + 1), 1,
         "written in format 2; this dlcli reads format 1"),
    ],
)  # fmt: skip
def test_anything_else_is_refused_and_left_alone(path, opened, text, line, cause):
    path.write_bytes(text)
    with pytest.raises(
        DataError, match=f"search.journal:{line} cannot be read as a journal of Optuna 5: .*{cause}"
    ) as caught:
        read(opened())
    assert "Move the file away and give the same command again" in str(caught.value)
    assert path.read_bytes() == text
    assert not path.with_name("search.journal.lock").exists()


def test_a_full_disk_leaves_no_half_of_a_batch(path, opened, monkeypatch):
    journal = opened()
    write(journal, STUDY)
    whole, real = path.read_bytes(), os.write

    def full(descriptor, data):
        monkeypatch.setattr(os, "write", refuse)
        return real(descriptor, data[:50])

    def refuse(descriptor, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    with journal.opened():
        monkeypatch.setattr(os, "write", full)
        with pytest.raises(StorageError, match="cannot write .*search.journal: No space left on device"):
            journal.append([TRIAL] * 3)
        monkeypatch.setattr(os, "write", real)
    assert path.read_bytes() == whole
    write(journal, TRIAL)
    assert len(storage(path).get_all_trials(0)) == 1


def test_a_journal_that_was_moved_away_starts_anew(path, opened):
    journal = opened()
    write(journal, STUDY, TRIAL)
    path.unlink()
    assert read(journal).studies == {}
