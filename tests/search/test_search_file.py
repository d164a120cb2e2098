import json

import pytest

from dlcli.contracts.search import Choice
from dlcli.errors import DataError, UsageError
from dlcli.search.budget import Budget
from dlcli.search.joining import extend
from dlcli.search.search_file import SearchFile, SearchRecord, joined, ticked


@pytest.fixture
def file(toy, tmp_path):
    toy.make(tmp_path, trials=40, space={**toy.SPACE, "hidden": Choice(((1, 2), None))}, stages=3, epochs=25)
    return SearchFile(tmp_path)


def test_it_comes_back_as_it_was(file, toy):
    record = file.read()
    assert record.budget == Budget(40, None)
    assert (record.seconds, record.ticked) == (0.0, None)
    assert record.plan.space["hidden"].values == ((1, 2), None)
    assert record.plan.stage_epochs == (1, 5, 25)
    file.write(record)
    assert file.read() == record


def test_differences_name_what_two_recipes_disagree_on(file):
    from dataclasses import replace

    plan = file.read().plan
    assert plan.differences(plan) == {}
    other = replace(plan, seed=1, recipe="other")
    assert plan.differences(other) == {"seed": (0, 1), "recipe": ("digest", "other")}


def test_a_search_needs_a_limit(toy, tmp_path):
    with pytest.raises(UsageError, match="a search needs a limit: give trials, or minutes, or both"):
        toy.make(tmp_path, trials=None)


@pytest.mark.parametrize("name", ["epochs", "folds", "stages", "population", "lease_seconds"])
def test_numbers_below_one_are_refused(toy, tmp_path, name):
    with pytest.raises(UsageError, match=f"the search's {name} must be .*got 0"):
        toy.make(tmp_path, **{name: 0})


@pytest.mark.parametrize("text", ["{", "[]", json.dumps({"format": 2}), json.dumps({"format": 1, "plan": {}})])
def test_a_damaged_file_is_told(file, text):
    file.path.write_text(text)
    with pytest.raises(DataError, match=r"search\.json cannot be read as a search: .*; start the search anew"):
        file.read()


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(DataError, match=r"search\.json cannot be read as a search"):
        SearchFile(tmp_path).read()


def test_time_counts_while_somebody_is_at_work(file):
    plan = file.read().plan  # signs of life may be 2 s apart
    fresh = SearchRecord(plan, Budget(1))
    record = joined(fresh, now=100.0, alive=None)
    assert (record.seconds, record.ticked) == (0.0, 100.0)
    record = ticked(record, 130.0)
    assert record.seconds == 30.0
    # Another joins while the first is at work.
    assert joined(record, now=140.0, alive=139.5).seconds == 40.0
    # All were killed at 135, and somebody starts an hour later.
    later = joined(record, now=3700.0, alive=135.0)
    assert (later.seconds, later.ticked) == (35.0, 3700.0)
    # A clock that jumps back takes nothing away.
    assert ticked(record, 90.0).seconds == 30.0


def test_a_larger_budget_extends(file):
    assert extend(file.directory, Budget(20, None)) == Budget(40, None)
    assert extend(file.directory, Budget(60, 5.0)) == Budget(60, 5.0)
    assert file.read().budget == Budget(60, 5.0)
    assert sorted(path.name for path in file.directory.iterdir()) == ["search.json"]
