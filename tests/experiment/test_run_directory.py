import json
import re

import pytest

from dlcli.errors import DataError, UsageError
from dlcli.experiment.address import find_address
from dlcli.experiment.run_directory import RunDirectory, find_run


def make(root, *names):
    for name in names:
        run = root / name / "0001"
        run.mkdir(parents=True)
        RunDirectory(run).update(status="finished")


@pytest.mark.parametrize("wanted", ["wne", "wne/0001"])
def test_of_many_runs_those_with_similar_names_come_first_and_eight_are_named(tmp_path, wanted):
    make(tmp_path, *(f"a-{number:02d}" for number in range(20)), "wine")
    there = "; there are wine, a-00, a-01, a-02, a-03, a-04, a-05, a-06 and 13 more; give a path, NAME/0001 or NAME; "
    with pytest.raises(UsageError, match=re.escape(f"there is no run '{wanted}'{there}see `dlcli runs`")):
        find_run(wanted, tmp_path)


def test_of_eight_runs_all_are_named(tmp_path):
    make(tmp_path, *"abcdefgh")
    with pytest.raises(UsageError, match="there are a, b, c, d, e, f, g, h; give a path"):
        find_run("zz", tmp_path)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"members": [{"identity": "../../x"}]}, r"a member is called '\.\./\.\./x', which names no folder"),
        ({"members": [{"identity": "a\0b"}]}, r"a member is called 'a\\x00b', which names no folder"),
        ({"members": [{}]}, "a member is called None"),
        ({"members": ["bag-0"]}, "a member is called 'bag-0'"),
        ({"members": [{"identity": "bag-0", "source": 3}]}, "bag-0 is from 3, expected a run"),
        ({"members": {"bag-0": {}}}, r"members is {'bag-0': {}}, expected a list"),
        ({"data": ["x.h5"]}, r"data is \['x.h5'\], expected a dict"),
        ({"status": 1}, "status is 1, expected a str"),
    ],
)
def test_entries_that_dlcli_does_not_write_are_refused(tmp_path, entries, message):
    (tmp_path / "run.json").write_text(json.dumps({"format": 1, **entries}))
    with pytest.raises(DataError, match=rf"run\.json is damaged: {message}"):
        RunDirectory(tmp_path).read()


def test_a_model_that_is_not_in_the_run_is_refused(tmp_path):
    make(tmp_path, "a", "b")
    (tmp_path / "a/0001/model").mkdir()
    (tmp_path / "b/0001/model").symlink_to(tmp_path / "a/0001/model")
    assert find_address("a", tmp_path).trained_model() == tmp_path / "a/0001/model"
    with pytest.raises(DataError, match=r"b/0001/model leads out of .*b/0001; put the files themselves there"):
        find_address("b", tmp_path).trained_model()
