import pytest

from dlcli.cli.options import fold_number, with_values
from dlcli.errors import UsageError


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (["train", "--kfold"], ["train", "--kfold=unnumbered"]),
        (["train", "--kfold", "7"], ["train", "--kfold", "7"]),
        (["train", "--kfold=7"], ["train", "--kfold=7"]),
        (["train", "--kfold", "mine.toml"], ["train", "--kfold=unnumbered", "mine.toml"]),
        (["train", "--kfold", "--json"], ["train", "--kfold=unnumbered", "--json"]),
        (["train", "mine.toml", "--kfold", "-1"], ["train", "mine.toml", "--kfold", "-1"]),
        (["train", "--", "--kfold"], ["train", "--", "--kfold"]),
        (["train", "--kfold", "--", "--kfold"], ["train", "--kfold=unnumbered", "--", "--kfold"]),
        ([], []),
    ],
)
def test_an_option_without_its_number(typed, expected):
    assert with_values(typed) == expected


@pytest.mark.parametrize(("text", "expected"), [(None, None), ("unnumbered", True), ("7", 7), ("1", 1)])
def test_the_number_of_folds(text, expected):
    found = fold_number(text)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize("text", ["x", "2.5", "-1", ""])
def test_no_whole_number(text):
    with pytest.raises(UsageError, match=f"--kfold takes a whole number of folds, 2 or more, .*; got '{text}'"):
        fold_number(text)
