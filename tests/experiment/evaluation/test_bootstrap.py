from typing import ClassVar

import numpy as np
import pytest
import torch
from answers import made
from scipy import stats
from sklearn.metrics import brier_score_loss, r2_score, roc_auc_score, root_mean_squared_error

from dlcli.contracts.metric import Metric
from dlcli.contracts.task import Task
from dlcli.errors import UsageError
from dlcli.experiment.evaluation import bootstrap as evaluate_bootstrap
from dlcli.experiment.evaluation.bootstrap import (
    Resampled,
    bootstrap_intervals,
    check_level,
    counts_drawn,
    intervals_of,
    replicates_for,
)

ROWS = 60


class RankMetric(Metric):
    """Area under the ROC curve: keeps scores, and sorts them."""

    name: ClassVar[str] = "auc"
    tasks = frozenset({Task.BINARY})
    direction = "max"
    lowest = 0.0
    highest = 1.0
    concatenates = True

    def update(self, output, target, weight):
        return {"score": output[:, 0], "target": target[:, 0].double(), "weight": weight}

    def compute(self, statistics):
        score, positive, weight = (statistics[key] for key in ("score", "target", "weight"))
        pairs = (weight * positive)[:, None] * (weight * (1 - positive))
        wins = (score[:, None] > score).double() + 0.5 * (score[:, None] == score).double()
        return (pairs * wins).sum() / pairs.sum()


class DecidingMetric(Metric):
    """Share of positive scores: its methods decide by values, which vmap refuses."""

    name: ClassVar[str] = "deciding"
    tasks = frozenset({Task.BINARY})
    direction = "max"
    lowest = 0.0
    highest = 1.0

    def update(self, output, target, weight):
        return {
            "positive": sum(w for z, w in zip(output[:, 0], weight, strict=True) if z > 0) + weight.new_zeros(()),
            "weight": weight.sum(),
        }

    def compute(self, statistics):
        return statistics["positive"] / statistics["weight"] if statistics["weight"] > 0 else torch.tensor(torch.nan)


@pytest.fixture
def binary():
    generator = torch.Generator().manual_seed(0)
    output = torch.randn(ROWS, 1, generator=generator)
    target = (output + torch.randn(ROWS, 1, generator=generator) > 0).float()
    losses = torch.nn.functional.binary_cross_entropy_with_logits(output, target, reduction="none")[:, 0]
    weight = torch.rand(ROWS, generator=generator) + 0.5
    return made("binary", output, target, weight=weight, losses=losses)


def test_a_replicate_is_the_figure_of_the_rows_that_were_drawn(binary, plugins):
    metrics = {"brier": plugins.registry.create("metric", "brier"), "auc": RankMetric(), "deciding": DecidingMetric()}
    resampled = Resampled(binary, metrics)
    assert resampled.slow
    counts = next(counts_drawn(ROWS, 3, 7))
    found = resampled(counts)
    for place, row in enumerate(counts):
        drawn = torch.arange(ROWS).repeat_interleave(row)
        score, target, weight = binary.output[drawn, 0], binary.target[drawn, 0], binary.weight[drawn]
        chance = score.double().sigmoid()
        assert found["loss"][place] == pytest.approx(np.average(binary.losses[drawn], weights=weight))
        assert found["brier"][place] == pytest.approx(brier_score_loss(target, chance, sample_weight=weight))
        assert found["auc"][place] == pytest.approx(roc_auc_score(target, score, sample_weight=weight))
        assert found["deciding"][place] == pytest.approx(np.average(score > 0, weights=weight))


def test_a_metric_with_many_statistics_is_computed_anew_to_the_same_figure(monkeypatch, plugins):
    output = torch.randn(ROWS, 2, generator=torch.Generator().manual_seed(1))
    answers = made("regression", output, output + torch.randn(ROWS, 2, generator=torch.Generator().manual_seed(2)))
    metrics = {name: plugins.registry.create("metric", name) for name in ("r2", "rmse")}
    counts = next(counts_drawn(ROWS, 4, 0))
    quick = Resampled(answers, metrics)
    found = quick(counts)
    drawn = torch.arange(ROWS).repeat_interleave(counts[0])
    assert found["r2"][0] == pytest.approx(r2_score(answers.target[drawn], output[drawn]), rel=1e-5)
    assert found["rmse"][0] == pytest.approx(root_mean_squared_error(answers.target[drawn], output[drawn]), rel=1e-5)
    monkeypatch.setattr(evaluate_bootstrap, "KEPT", ROWS)
    slow = Resampled(answers, metrics)
    assert (quick.slow, slow.slow) == (False, True)
    for name, values in slow(counts).items():
        torch.testing.assert_close(values, found[name])
    monkeypatch.setattr(evaluate_bootstrap, "TOO_MANY", ROWS - 1)
    intervals, _ = bootstrap_intervals(answers, metrics, 95, 0)
    assert intervals["loss"] is not None
    assert intervals["r2"] is intervals["rmse"] is None


def test_an_interval_is_scipys_percentile_interval(binary):
    values = binary.losses.numpy()
    plain = made("binary", binary.output, binary.target, losses=binary.losses)
    intervals, how = bootstrap_intervals(plain, {}, 90, 3)
    expected = stats.bootstrap(
        (values,), np.mean, confidence_level=0.9, method="percentile", n_resamples=20_000, rng=np.random.default_rng(0)
    ).confidence_interval
    error = 0.1 * values.std() / np.sqrt(ROWS)
    assert (how.level, how.replicates, how.units, how.count) == (90, 2000, "rows", ROWS)
    assert intervals["loss"].low == pytest.approx(expected.low, abs=error)
    assert intervals["loss"].high == pytest.approx(expected.high, abs=error)
    assert bootstrap_intervals(plain, {}, 90, 3)[0] == intervals
    assert bootstrap_intervals(plain, {}, 90, 4)[0] != intervals


def test_groups_and_rows_of_positions_are_drawn_whole(binary):
    plain = made("binary", binary.output, binary.target, losses=binary.losses)
    thrice = torch.arange(ROWS).repeat(3)
    grouped = made("binary", binary.output[thrice], binary.target[thrice], losses=binary.losses[thrice], unit=thrice)
    (alone,), (together,) = ([*bootstrap_intervals(each, {}, 95, 0)[0].values()] for each in (plain, grouped))
    # Copies of a row tell nothing new: drawn one by one they would make the interval √3 times narrower.
    assert (together.low, together.high) == pytest.approx((alone.low, alone.high))
    assert bootstrap_intervals(grouped, {}, 95, 0)[1].units == "groups"


def test_every_unit_is_drawn_alike_and_as_many_as_there_are():
    counts = torch.cat(list(counts_drawn(50, 4000, 0)))
    assert counts.shape == (4000, 50)
    assert (counts.sum(dim=1) == 50).all()
    assert counts.double().mean(dim=0).numpy() == pytest.approx(np.ones(50), abs=5 / np.sqrt(4000))
    assert float(counts.double().var()) == pytest.approx(1 - 1 / 50, abs=0.02)


def test_there_are_fewer_replicates_of_many_rows_and_more_for_a_high_level():
    assert replicates_for(270, 95, slow=False) == replicates_for(25_000, 95, slow=False) == 2000
    assert replicates_for(270, 99.9, slow=False) == 20_000
    assert replicates_for(100_000, 95, slow=False) == 500
    assert replicates_for(10**7, 95, slow=False) == 200
    assert replicates_for(5000, 95, slow=True) == 1000


def test_no_interval_where_there_is_nothing_to_draw_from_or_too_much_is_undefined(binary):
    one = made("binary", binary.output[:1], binary.target[:1])
    assert bootstrap_intervals(one, {}, 95, 0) == bootstrap_intervals(binary, {}, 0, 0) == ({}, None)
    values = torch.arange(100.0)
    values[:10] = torch.nan
    found = intervals_of([{"some": values, "few": torch.where(values < 20, torch.nan, values)}], ("some", "few"), 80)
    assert found["few"] is None
    assert (found["some"].low, found["some"].high) == pytest.approx(tuple(np.quantile(np.arange(10, 100), [0.1, 0.9])))


@pytest.mark.parametrize("level", [-1, 0.95, 49.9, 99.95, 100, float("nan")])
def test_a_level_out_of_range_is_refused(level):
    with pytest.raises(UsageError, match=r"--ci is a level in percent, from 50 to 99.9, or 0 .* got .*: take 95"):
        check_level(level)
