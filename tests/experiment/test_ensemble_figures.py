"""What an ensemble says of itself, against numpy and scikit-learn on its members' outputs."""

import itertools
import json
import math

import numpy as np
import pytest
import torch
from ensembles import DIGITS, binary_file, facts_of, network, regression_file, split
from sklearn.metrics import log_loss

from dlcli.experiment.ensemble import ensemble
from dlcli.experiment.evaluate import evaluate
from dlcli.experiment.load import load


@pytest.fixture(scope="module")
def made(tmp_path_factory, plugins):
    """A vote of three for each kind of task, which tests only read."""
    folder = tmp_path_factory.mktemp("made")
    data = {
        "digits": DIGITS,
        "diabetes": regression_file(folder / "diabetes.h5"),
        "cancer": binary_file(folder / "cancer.h5"),
    }

    def make(name):
        recipe = network(data[name], name=name, train={"epochs": 3}, ensemble={"members": 3})
        return data[name], ensemble(recipe, runs=folder / "runs", plugins=plugins)

    return {name: make(name) for name in data}


def outputs_of(made, plugins, name, part="test"):
    """Outputs of the members (M, R, O) and of the ensemble (R, O), and the targets, in float64."""
    data, outcome = made[name]
    x, y = split(data, part)
    model = load(outcome.run, plugins=plugins)
    with torch.no_grad():
        members = torch.stack([model.part(f"member-{place}")(x) for place in range(3)])
        return members.double().numpy(), model(x).double().numpy(), y


def softmax(z):
    found = np.exp(z - z.max(-1, keepdims=True))
    return found / found.sum(-1, keepdims=True)


def losses(name, z, y):
    """The loss of each row."""
    if name == "diabetes":
        return ((z - y) ** 2)[..., 0]
    if name == "cancer":
        return np.logaddexp(0, np.where(y.astype(bool), -z[..., 0], z[..., 0]))
    return -np.log(softmax(z))[..., np.arange(len(y)), y]


def wrong(name, z, y):
    return (z.argmax(-1) != y) if name == "digits" else ((z[..., 0] > 0) != y.astype(bool))


def entropy(p):
    return -(p * np.log(np.clip(p, 1e-300, None))).sum(-1)


def probabilities(name, z):
    if name == "digits":
        return softmax(z)
    return 1 / (1 + np.exp(-z)) if name == "cancer" else z


@pytest.mark.parametrize("name", ["digits", "diabetes", "cancer"])
def test_the_ensemble_is_the_mean(made, plugins, name):
    members, own, _ = outputs_of(made, plugins, name)
    np.testing.assert_allclose(probabilities(name, own), probabilities(name, members).mean(0), rtol=2e-5, atol=2e-7)


@pytest.mark.parametrize("name", ["digits", "diabetes", "cancer"])
def test_spread(made, plugins, name):
    outcome = made[name][1]
    members, _, _ = outputs_of(made, plugins, name)
    found = evaluate(outcome.run, plugins=plugins).spread
    p = probabilities(name, members)
    wanted = {"std": p.std(axis=0).mean()}
    if name != "diabetes":
        both = p if name == "digits" else np.concatenate([p, 1 - p], axis=-1)
        wanted["entropy"] = entropy(both.mean(0)).mean()
        wanted["mutual_information"] = wanted["entropy"] - entropy(both).mean()
        assert wanted["mutual_information"] > 1e-4
    assert found == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("name", ["digits", "diabetes", "cancer"])
def test_figures_and_gains(made, plugins, name):
    outcome = made[name][1]
    members, own, y = outputs_of(made, plugins, name)
    comparison = outcome.comparison
    each, combined = losses(name, members, y), losses(name, own, y)
    assert (comparison.split, comparison.rows) == ("test", len(y))
    assert outcome.test["loss"] == comparison.ensemble["loss"] == pytest.approx(combined.mean(), rel=1e-5)
    for place, member in enumerate(outcome.members):
        assert member.figures["loss"] == pytest.approx(each[place].mean(), rel=1e-5)
    val, y_val = outputs_of(made, plugins, name, "val")[::2]
    scores = losses(name, val, y_val).mean(1)
    assert [member.score for member in outcome.members] == pytest.approx(list(scores), rel=1e-5)
    best = int(scores.argmin())
    assert comparison.best_member == f"member-{best}"
    assert comparison.best["loss"] == pytest.approx(each[best].mean(), rel=1e-5)
    assert comparison.mean["loss"] == pytest.approx(each.mean(), rel=1e-5)
    for gain, other in ((comparison.gain_on_best, each[best]), (comparison.gain_on_mean, each.mean(0))):
        difference = other - combined
        assert gain.value == pytest.approx(difference.mean(), rel=1e-4, abs=1e-7)
        assert gain.standard_error == pytest.approx(difference.std(ddof=1) / math.sqrt(len(y)), rel=1e-4)
    entry = facts_of(outcome.run)["ensemble"]["comparison"]
    assert entry["gain_on_best"]["value"] == comparison.gain_on_best.value


@pytest.mark.parametrize("name", ["digits", "diabetes", "cancer"])
def test_diversity(made, plugins, name):
    comparison = made[name][1].comparison
    members, _, y = outputs_of(made, plugins, name)
    pairs = list(itertools.combinations(range(3), 2))
    if name == "diabetes":
        errors = (members - y)[..., 0]
        assert comparison.disagreement is None
    else:
        errors = wrong(name, members, y).astype(float)
        said = members.argmax(-1) if name == "digits" else members[..., 0] > 0
        wanted = np.mean([(said[a] != said[b]).mean() for a, b in pairs])
        assert wanted > 0
        assert comparison.disagreement == pytest.approx(wanted)
    correlations = [np.corrcoef(errors[a], errors[b])[0, 1] for a, b in pairs]
    assert comparison.error_correlation == pytest.approx(np.mean(correlations), rel=1e-6)


@pytest.mark.parametrize("name", ["digits", "cancer"])
def test_calibration(made, plugins, name):
    outcome = made[name][1]
    _, own, y = outputs_of(made, plugins, name)
    p = probabilities(name, own)
    found = outcome.calibration
    if name == "digits":
        p = p / p.sum(-1, keepdims=True)
        assert found.nll == pytest.approx(log_loss(y, p), rel=1e-5)
        assert found.brier == pytest.approx(((p - np.eye(10)[y]) ** 2).sum(1).mean(), rel=1e-5)
        confidence, right = p.max(1), p.argmax(1) == y
        bins = np.ceil(confidence * 15)
        ece = sum(abs(confidence[bins == b].sum() - right[bins == b].sum()) for b in np.unique(bins)) / len(y)
        assert found.ece == pytest.approx(ece, abs=1e-5)
    else:
        assert found.nll == pytest.approx(log_loss(y, p[:, 0]), rel=1e-5)
    assert made["diabetes"][1].calibration is None


def test_the_curve_is_that_of_the_first_members(made, plugins):
    outcome = made["digits"][1]
    members, _, y = outputs_of(made, plugins, "digits")
    val, _, y_val = outputs_of(made, plugins, "digits", "val")
    assert [point.members for point in outcome.curve] == [1, 2, 3]
    for point in outcome.curve:
        for z, target, value in ((members, y, point.compared), (val, y_val, point.val)):
            mean = softmax(z[: point.members]).mean(0)
            assert value == pytest.approx(-np.log(mean[np.arange(len(target)), target]).mean(), rel=1e-5)
    picture = outcome.picture.read_text()
    assert outcome.picture == outcome.run / "ensemble.svg"
    assert picture.startswith("<svg")


def test_cost_is_relative_to_one_member(made):
    outcome = made["digits"][1]
    assert outcome.relative_parameters == pytest.approx(3)
    assert outcome.members[0].parameters == 64 * 12 + 12 + 12 * 10 + 10
    assert 0 < outcome.relative_seconds < 100


@pytest.mark.parametrize(
    ("name", "section"),
    [
        ("digits", {"strategy": "voting", "members": 2}),
        ("cancer", {"strategy": "voting", "members": 2}),
        ("digits", {"strategy": "bagging", "members": 2}),
        ("digits", {"strategy": "ema"}),
        ("digits", {"strategy": "average_weights", "members": 2}),
    ],
)
def test_temperature_scaling_divides_outputs_and_never_moves_a_class(folder, made, plugins, name, section):
    data = made[name][0]
    plain = ensemble(network(data, ensemble=section), name="plain", plugins=plugins)
    scaled = ensemble(network(data, ensemble={**section, "temperature_scaling": True}), name="scaled", plugins=plugins)
    t = scaled.temperature_scaling.temperature
    assert (plain.temperature_scaling.applied, scaled.temperature_scaling.applied) == (False, True)
    assert plain.temperature_scaling.temperature == t
    assert abs(t - 1) > 1e-3
    x, y = split(data, "test")
    with torch.no_grad():
        before, after = (load(outcome.run, plugins=plugins)(x) for outcome in (plain, scaled))
    wanted = torch.log_softmax(before / t, -1) if name == "digits" else before / t
    torch.testing.assert_close(after, wanted, rtol=1e-5, atol=1e-6)
    assert plain.test["accuracy"] == scaled.test["accuracy"]
    assert plain.val["accuracy"] == scaled.val["accuracy"]
    assert scaled.val["loss"] < plain.val["loss"]
    assert scaled.test["loss"] == pytest.approx(scaled.temperature_scaling.after.nll, rel=1e-5)
    assert plain.test["loss"] == pytest.approx(plain.temperature_scaling.before.nll, rel=1e-5)
    assert json.loads((scaled.run / "model/model.json").read_text())["combination"]["temperature"] == t
    # The least negative log-likelihood on validation rows: a little warmer or colder is worse.
    x, y = split(data, "val")
    with torch.no_grad():
        z = load(plain.run, plugins=plugins)(x).double().numpy()
    at = {factor: losses(name, z / (t * factor), y).mean() for factor in (0.97, 1.0, 1.03)}
    assert at[1.0] < min(at[0.97], at[1.03])
