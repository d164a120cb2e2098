import errno
import json
import math
import os
import threading

import pytest

from dlcli.errors import DataError, StorageError
from dlcli.search.populations import read_plan, read_result, write_plan, write_result
from dlcli.search.trials import PopulationResult, TrialOutcome

TRIALS = [(3, {"x": 0.5, "hidden": (1, (2, 3))}), (4, {"x": 1.5})]


@pytest.fixture
def root(tmp_path):
    return tmp_path / "populations"


def plan(root, number=0, trials=TRIALS):
    return write_plan(root, number, trials, stage=2, fold=1, epochs=9, rungs=(1, 3), after=7, planned=12.5)


def test_a_plan_comes_back_as_it_was(root):
    assert plan(root)
    found = read_plan(root, 0)
    assert found.trials == tuple(TRIALS)
    assert (found.number, found.stage, found.fold, found.epochs, found.rungs) == (0, 2, 1, 9, (1, 3))
    assert (found.after, found.planned, found.folder) == (7, 12.5, root / "0000")
    assert read_plan(root, 1) is None


def test_of_many_that_plan_one_number_one_wins(root):
    root.mkdir()
    won, start = [], threading.Barrier(8)

    def try_it(which):
        start.wait()
        if plan(root, trials=[(which, {})]):
            won.append(which)

    threads = [threading.Thread(target=try_it, args=(which,)) for which in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert read_plan(root, 0).trials == ((won[0], {}),)
    assert [path.name for path in root.iterdir()] == ["0000"]


def test_a_result_comes_back_and_is_written_once(root):
    plan(root)
    population = read_plan(root, 0)
    assert read_result(population) is None
    outcomes = (TrialOutcome(3, 0.25, 9, 4, 1.5), TrialOutcome(4, None, 2, 0, reason="NaN"))
    result = PopulationResult(outcomes, {3: "too slow"}, {3: {1: 0.5, 2: math.nan}}, 99.0)
    assert write_result(population, result)
    assert not write_result(population, PopulationResult((), {}, {}, 0.0))
    found = read_result(population)
    assert (found.outcomes, found.leaving, found.ended) == (outcomes, {3: "too slow"}, 99.0)
    assert found.reports[3][1] == 0.5
    assert math.isnan(found.reports[3][2])
    assert sorted(path.name for path in population.folder.iterdir()) == ["plan.json", "result.json"]


def test_a_file_system_without_links_will_do(root, monkeypatch):
    def refuse(source, target):
        raise OSError(errno.EPERM, "Operation not permitted")

    plan(root)
    population = read_plan(root, 0)
    monkeypatch.setattr(os, "link", refuse)
    result = PopulationResult((TrialOutcome(3, 0.25, 9, 4), TrialOutcome(4, 0.5, 9, 4)))
    assert write_result(population, result)
    assert not write_result(population, result)
    assert read_result(population).outcomes == result.outcomes


@pytest.mark.parametrize("text", ["", "{", "[]", "\udcff", json.dumps({"format": 2}), json.dumps({"format": 1})])
def test_damaged_files_are_told(root, text):
    plan(root)
    population = read_plan(root, 0)
    for name, read in (("plan", lambda: read_plan(root, 0)), ("result", lambda: read_result(population))):
        (population.folder / f"{name}.json").write_bytes(text.encode(errors="surrogateescape"))
        with pytest.raises(
            DataError, match=rf"0000.{name}\.json is damaged: .*; restore the file from a copy, or start"
        ):
            read()


def test_a_result_of_other_trials_is_told(root):
    plan(root)
    population = read_plan(root, 0)
    write_result(population, PopulationResult((TrialOutcome(9, 0.25, 9, 4),)))
    with pytest.raises(DataError, match="its trials are not those of plan.json"):
        read_result(population)


def test_a_full_disk_leaves_nothing_behind(root, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    plan(root)
    population = read_plan(root, 0)
    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.write_text", refuse)
        with pytest.raises(StorageError, match="cannot write .*: No space left on device; free some space"):
            plan(root, 1)
        with pytest.raises(StorageError, match="cannot write .*: No space left on device; free some space"):
            write_result(population, PopulationResult(()))
    assert sorted(str(path.relative_to(root)) for path in root.rglob("*")) == ["0000", "0000/plan.json"]
    assert plan(root, 1)
