"""Settings of a space as a table."""

import io

from rich.console import Console

from dlcli.report.tune_space import space_view


def text_of(settings, width=100):
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(space_view(settings))
    return console.export_text().splitlines()


def test_a_row_a_setting_and_a_column_a_key():
    lines = text_of([{"train.lr": 0.00123456, "model.hidden": (8, 8)}, {"train.lr": 0.5, "model.hidden": (4,)}])
    assert [line.split() for line in lines] == [
        ["train.lr", "model.hidden"],
        ["0.00123", "[8,", "8]"],
        ["0.5", "[4]"],
    ]


def test_a_key_that_a_setting_does_not_have_is_blank():
    lines = text_of([{"a": "sgd", "b": 0.5}, {"a": "adam"}, {"c": True}])
    assert lines[0].split() == ["a", "b", "c"]
    assert lines[2].split() == ["adam"]
    assert len(lines) == 4


def test_a_narrow_terminal_loses_nothing():
    setting = {"train.optimizer": {"name": "sgd", "momentum": 0.9}, "model.hidden": (128, 128, 128)}
    text = "".join("".join(text_of([setting], width=30)).split())
    for part in ("sgd", "128"):
        assert part in text
