import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcli.report.tune_text import epochs_text, score_text, setting_text, short_names, shortened, value_text


@pytest.mark.parametrize(
    ("keys", "names"),
    [
        (["train.optimizer.lr", "model.dropout"], ["lr", "dropout"]),
        (["regularizers.l1.strength", "regularizers.l2.strength"], ["l1.strength", "l2.strength"]),
        (["lr", "train.lr", "model.lr"], ["lr", "train.lr", "model.lr"]),
        (["a.x.lr", "b.x.lr", "lr.b"], ["a.x.lr", "b.x.lr", "b"]),
        (["train.optimizer.name", "model.hidden.0"], ["optimizer.name", "hidden.0"]),
        (["name"], ["name"]),
        ([], []),
    ],
)
def test_short_names(keys, names):
    assert short_names(keys) == dict(zip(keys, names, strict=True))


@given(st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map(".".join), unique=True))
def test_short_names_are_unique_ends_of_their_keys(keys):
    names = short_names(keys)
    assert len(set(names.values())) == len(keys)
    assert all(key == name or key.endswith(f".{name}") for key, name in names.items())


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.00312345, "0.00312"),
        (0.000312345, "3.1e-04"),
        (0.9999, "0.9999"),
        (1e-5, "1e-05"),
        (12.345678, "12.3"),
        (12345.678, "12346"),
        (3.21e9, "3.2e+09"),
        (1234567.8, "1.2e+06"),
        (0.0, "0"),
        (-0.5, "-0.5"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        (128, "128"),
        (True, "true"),
        (None, "none"),
        ("adam\nw", "adam w"),
        ((128, (64, 0.5)), "[128, [64, 0.5]]"),
        ({"name": "leaky_relu", "slope": 0.1}, "leaky_relu(slope=0.1)"),
        ({"name": "relu"}, "relu"),
        ({}, ""),
    ],
)
def test_values(value, text):
    assert value_text(value) == text


def test_scores():
    assert score_text(0.08124, 0.004) == "0.0812 ± 0.0040"
    assert score_text(0.08124) == "0.0812"
    assert score_text(None, 0.004) == "–"


def test_settings():
    setting = {"train.lr": 0.003, "model.act": "x" * 40, "other": 1}
    names = {"train.lr": "lr", "model.act": "act"}
    assert setting_text(setting, names, most=4) == "lr 0.0…  act xxx…  other 1"


def test_epochs():
    assert [epochs_text(epochs) for epochs in (None, 3, 3.0, 3.44)] == ["–", "3", "3", "3.4"]


def test_shortened():
    assert [shortened("abcd", most) for most in (4, 3, 1)] == ["abcd", "ab…", "…"]
