import tomllib

import pytest

from dlcli.contracts.search import Choice, Condition, Normal, Uniform
from dlcli.search.borders import borders, toml_line

LOG = Uniform(1e-4, 1e-1, log=True)


@pytest.mark.parametrize(
    ("found", "value", "limits", "end", "ends"),
    [
        (LOG, 0.09, (0.0, None), "high", (1e-4, 1.0)),
        (LOG, 1.2e-4, (0.0, None), "low", (1e-5, 1e-1)),
        (Uniform(0.0, 0.5), 0.49, (0.0, 2.0), "high", (0.0, 1.0)),
        # Nearer to the limit than the range is wide: half way.
        (Uniform(0.0, 0.6), 0.6, (0.0, 1.0), "high", (0.0, 0.8)),
        (Uniform(1, 8, whole=True), 8, (1.0, None), "high", (1, 15)),
        (Uniform(2, 8, whole=True), 2, (1.0, None), "low", (1, 8)),
        (Uniform(16, 512, log=True, whole=True), 512, (1.0, None), "high", (16, 5120)),
        (Uniform(4, 512, log=True, whole=True), 4, (None, None), "low", (1, 512)),
        (Uniform(-1.0, 1.0), -1.0, (None, None), "low", (-3.0, 1.0)),
    ],
)
def test_a_value_at_an_end(found, value, limits, end, ends):
    (border,) = borders({"a.b": found}, {"a.b": value}, {"a.b": limits})
    assert (border.key, border.value, border.end, border.found) == ("a.b", value, end, found)
    assert (border.widened.low, border.widened.high) == pytest.approx(ends)
    assert (border.widened.log, border.widened.whole) == (found.log, found.whole)


@pytest.mark.parametrize(
    ("found", "value", "limits"),
    [
        (LOG, 0.05, (None, None)),  # 10 % of the logarithm away, though half of the range
        (LOG, 2e-4, (None, None)),
        (Uniform(0.0, 0.5), 0.0, (0.0, 1.0)),  # a natural limit
        (Uniform(0.0, 1.0), 0.99, (0.0, 1.0)),
        (Uniform(0.0, 1.0), 0.06, (None, None)),
        (Uniform(3, 3, whole=True), 3, (None, None)),
        (Choice((1, 2)), 1, (None, None)),
        (Normal(0.0, 1.0, low=-1.0, high=1.0), 1.0, (None, None)),
    ],
)
def test_no_value_at_an_end(found, value, limits):
    assert borders({"a.b": found}, {"a.b": value}, {"a.b": limits}) == []


def test_keys_that_the_best_setting_lacks_are_passed_by():
    assert borders({"a": LOG, "b": LOG}, {"b": 0.1}, {})[0].key == "b"


def test_a_condition_stays():
    when = Condition("c", (1,))
    (border,) = borders({"a": Uniform(0.0, 1.0, when=when)}, {"a": 1.0}, {})
    assert border.widened.when == when


@pytest.mark.parametrize(
    ("found", "kind", "ends"),
    [
        (LOG, "log_uniform", [1e-4, 1e-1]),
        (Uniform(0, 1), "uniform", [0.0, 1.0]),
        (Uniform(1, 8, whole=True), "int", [1, 8]),
        (Uniform(1, 8, log=True, whole=True), "log_int", [1, 8]),
    ],
)
def test_the_line_is_toml_of_that_range(found, kind, ends):
    line = toml_line('train."x".lr', found)
    assert tomllib.loads(line) == {'train."x".lr': {kind: ends}}
    assert [type(end) for end in tomllib.loads(line)['train."x".lr'][kind]] == [type(end) for end in ends]


def test_the_line_keeps_a_condition():
    line = toml_line("a", LOG, 'when = { b = "c" }')
    assert tomllib.loads(line) == {"a": {"log_uniform": [1e-4, 1e-1], "when": {"b": "c"}}}
