"""What `dlcli build` says of classes."""

from dlcli.report.preflight import classes_text


def test_names_of_classes_stay_on_one_line():
    assert classes_text(["\n", " ", "a\x1b[2J"]) == r", 3 classes: \n,  , a\x1b[2J"


def test_many_and_long_names_are_shortened():
    told = classes_text(["a" * 500, *"bcdefghijklmnopqrstuvwxyz"])
    assert told.startswith(", 26 classes: aaa")
    assert told.endswith(", …")
    assert len(told) < 200
