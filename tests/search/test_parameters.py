import math

import optuna
import pytest

from dlcli.contracts.search import Choice, Normal, Uniform
from dlcli.search.parameters import Parameters, distributions

SPACE = {
    "lr": Uniform(1e-5, 1e-1, log=True),
    "width": Uniform(1, 64, log=True, whole=True),
    "free": Normal(0.0, 0.5),
    "cut": Normal(0.0, 0.5, low=-0.1),
    "plain": Choice((True, 1, "a", None, 2.5)),
    "lists": Choice(((64,), (128, 128), {"name": "glu"})),
}
SETTING = {"lr": 1e-3, "width": 7, "free": -0.2, "cut": 0.3, "plain": 1, "lists": (128, 128)}


def test_every_distribution_has_its_twin_in_optuna():
    found = distributions(SPACE)
    assert found["lr"] == optuna.distributions.FloatDistribution(1e-5, 1e-1, log=True)
    assert found["width"] == optuna.distributions.IntDistribution(1, 64, log=True)
    assert found["free"] == optuna.distributions.FloatDistribution(-3.0, 3.0)
    assert found["cut"] == optuna.distributions.FloatDistribution(-0.1, 3.0)
    assert found["lists"].choices == ("[64]", "[128, 128]", '{"name": "glu"}')


def test_optuna_reads_the_settings_back():
    fields = Parameters(SPACE).fields(SETTING)
    read = {key: optuna.distributions.json_to_distribution(text) for key, text in fields["distributions"].items()}
    assert read == distributions(SPACE)
    values = {key: read[key].to_external_repr(value) for key, value in fields["params"].items()}
    assert values == {**SETTING, "lists": "[128, 128]"}
    assert values["plain"] is not True
    assert isinstance(values["width"], int)


@pytest.mark.parametrize("quantile", [0.0, 1e-12, 0.5, math.nextafter(1, 0)])
def test_no_value_of_a_normal_leaves_the_range_that_is_shown(quantile):
    for key in ("free", "cut"):
        shown = distributions(SPACE)[key]
        assert shown._contains(shown.to_internal_repr(SPACE[key].at(quantile)))


def test_what_is_outside_the_space_is_left_out():
    fields = Parameters(SPACE).fields({"lr": 5.0, "width": 2, "other": 1})
    assert fields["params"] == {"width": 2.0}
