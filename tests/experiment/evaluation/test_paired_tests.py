import numpy as np
import pytest
import torch
from scipy import stats

from dlcli.experiment.evaluation.paired_tests import mcnemar_test, sign_flip_test


def draws(count, mean, seed=0):
    return np.random.default_rng(seed).normal(mean, 1, count)


def scipys(differences, resamples):
    return stats.permutation_test(
        (differences,), np.sum, permutation_type="samples", n_resamples=resamples, rng=np.random.default_rng(1)
    ).pvalue


@pytest.mark.parametrize("mean", [0.0, 0.5, -1.2])
@pytest.mark.parametrize("count", [2, 3, 8, 12])
def test_a_few_differences_are_tested_exactly_as_scipy_does(count, mean):
    differences = draws(count, mean)
    p_value, method = sign_flip_test(torch.from_numpy(differences), 0)
    assert method == "exact"
    assert p_value == pytest.approx(scipys(differences, np.inf))


def test_some_are_tested_by_random_signs_within_their_error():
    differences = draws(60, 0.15)
    p_value, method = sign_flip_test(torch.from_numpy(differences), 0)
    assert method == "random signs"
    assert 0.01 < p_value < 0.2
    assert p_value == pytest.approx(scipys(differences, 20_000), abs=4 * np.sqrt(0.2 * 0.8 / 10_000))
    assert sign_flip_test(torch.from_numpy(differences), 0)[0] == p_value  # the draws are derived


def test_many_are_tested_by_the_normal_distribution_which_is_close_to_students():
    differences = draws(6000, 0.03)
    p_value, method = sign_flip_test(torch.from_numpy(differences), 0)
    assert method == "normal"
    assert p_value == pytest.approx(stats.ttest_1samp(differences, 0).pvalue, abs=2e-3)


def test_rows_on_which_both_do_alike_change_nothing():
    some = torch.tensor([0.5, -0.2, 0.9, 0.4], dtype=torch.float64)
    padded = torch.cat([some, torch.zeros(100, dtype=torch.float64)])
    assert sign_flip_test(padded, 0) == sign_flip_test(some, 0) == (0.25, "exact")
    assert sign_flip_test(torch.zeros(5, dtype=torch.float64), 0) == (1.0, "exact")


@pytest.mark.parametrize("alone", [(0, 0), (1, 0), (3, 3), (17, 0), (5, 12), (40_000, 40_700), (200, 900)])
def test_mcnemars_test_is_scipys_binomial_test(alone):
    expected = stats.binomtest(alone[0], sum(alone), 0.5).pvalue if sum(alone) else 1.0
    assert mcnemar_test(*alone) == pytest.approx(expected, rel=1e-6)
