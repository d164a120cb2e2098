import math
from datetime import UTC, datetime

import pytest

from dlcli.report import figures


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "–"),
        (0.0, "0"),
        (1.0, "1.0000"),
        (0.065749, "0.0657"),
        (0.99996, "1.0000"),
        (-0.5, "-0.5000"),
        (9.87654, "9.8765"),
        (12.3456, "12.35"),
        (123.456, "123.5"),
        (1234.56, "1,235"),
        (70000.0, "70,000"),
        (0.000013, "1.300e-05"),
        (2.5e9, "2.500e+09"),
        (math.nan, "nan"),
        (-math.inf, "-inf"),
    ],
)
def test_number(value, expected):
    assert figures.number(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [(0.001, "0.001"), (0.1, "0.1"), (9.7312e-4, "9.7e-04"), (0.0, "0"), (1e-5, "1e-05")]
)
def test_rate(value, expected):
    assert figures.rate(value) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (None, "–"),
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (185, "3 min 05 s"),
        (3599.7, "1 h 00 min"),
        (7620, "2 h 07 min"),
        (360000, "100 h 00 min"),
    ],
)
def test_duration(seconds, expected):
    assert figures.duration(seconds) == expected


@pytest.mark.parametrize(
    ("amount", "expected"),
    [(0, "0 bytes"), (999, "999 bytes"), (1500, "1.5 kB"), (36_400, "36 kB"), (999_700, "1.0 MB"), (2.5e12, "2500 GB")],
)
def test_byte_size(amount, expected):
    assert figures.byte_size(amount) == expected


def test_the_rest():
    assert figures.count_of(1, "epoch") == "1 epoch"
    assert figures.count_of(1797, "row") == "1,797 rows"
    assert figures.shape((3, 8, 8)) == "3 × 8 × 8"
    assert figures.shape(()) == "–"
    assert figures.moment(datetime(2026, 1, 2, 3, 4, tzinfo=UTC)) == "2026-01-02 03:04"
    assert figures.moment(None) == "–"
    assert figures.metrics({"train_loss": 0.5, "val_loss": 0.25}) == "train_loss 0.5000  val_loss 0.2500"


def test_a_score_that_is_no_number_is_a_dash():
    assert [figures.score_of(value) for value in (0.5, None, math.nan, math.inf)] == ["0.5000", "–", "–", "inf"]
