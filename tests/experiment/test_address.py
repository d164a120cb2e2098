import re

import pytest

from dlcli.errors import UsageError
from dlcli.experiment.address import find_address
from dlcli.experiment.run_directory import RunDirectory


def refused(root, *members):
    """The error about a member that a run of these members has not."""
    run = root / "all" / "0001"
    run.mkdir(parents=True)
    RunDirectory(run).update(members=[{"identity": identity, "source": source} for identity, source in members])
    with pytest.raises(UsageError, match=r"all/0001 has no member 'x'; ") as caught:
        find_address("all@x", root)
    return re.sub(r"^.*has no member 'x'; ", "", str(caught.value))


def test_members_that_a_run_has(tmp_path):
    assert refused(tmp_path, ("bag-0", None), ("bag-1", None)) == "there are bag-0, bag-1"


def test_a_plain_run_has_none(tmp_path):
    assert refused(tmp_path) == "it is one network and has none"


def test_members_that_are_other_runs_are_named_as_such(tmp_path):
    said = refused(tmp_path, ("a-0001", "a/0001"), ("b-fold-1", "b/0001@fold-1"))
    assert said == "its members are other runs, to be named themselves: a/0001, b/0001@fold-1"


def test_of_many_runs_eight_are_named_and_each_once(tmp_path):
    many = [(f"m-{run}-{state}", f"m/{run:04d}") for run in range(1, 12) for state in range(2)]
    assert refused(tmp_path, *many).endswith("m/0007, m/0008 and 3 more")


def test_members_of_both_sorts(tmp_path):
    said = refused(tmp_path, ("t-0001", "t/0001"), ("student", None))
    assert said == "there are student; its other members are other runs, to be named themselves: t/0001"
