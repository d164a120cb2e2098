import re

import pytest

from dlcli.errors import UsageError
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
