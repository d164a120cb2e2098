"""Ensembles of runs that exist."""

import json
import os
import shutil

import h5py
import numpy as np
import pytest
import torch
from ensembles import DIGITS, facts_of, model_bits, network, split
from safetensors.torch import load_file

from dlcli.errors import UsageError
from dlcli.experiment.ensemble import ensemble
from dlcli.experiment.evaluate import evaluate
from dlcli.experiment.load import load
from dlcli.experiment.train import train
from dlcli.experiment.tune import tune

DEEP = {"architecture": "mlp", "hidden": [8, 8], "activation": "tanh", "norm": "batch"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory, plugins):
    """Runs of every kind, which tests only read."""
    root = tmp_path_factory.mktemp("given") / "runs"
    keeping = {"keep_checkpoints": {"best": 2, "last": 3, "every_epochs": 0}}
    train(network(name="a", train=keeping), runs=root, plugins=plugins)
    train(network(name="b", model=DEEP), runs=root, plugins=plugins)
    train(network(name="c"), overrides=["train.epochs=2"], runs=root, plugins=plugins)
    train(network(name="seeds"), seeds=2, runs=root, plugins=plugins)
    train(network(name="folds"), kfold=3, runs=root, plugins=plugins)
    for name in ("child", "sister"):
        recipe = network(name=name, seed=len(name), train={"epochs": 1})
        train(recipe, start_from="a", runs=root, plugins=plugins)
    space = {"train.optimizer.lr": {"log_uniform": [1e-4, 1e-1]}}
    tune(network(name="search", train={"epochs": 2}, tune={"trials": 3, "space": space}), runs=root, plugins=plugins)
    return root


@pytest.fixture
def combine(runs, plugins):
    """Combine runs by their names; give the outcome."""

    def make(*names, **options):
        return ensemble(*names, runs=runs, plugins=plugins, **options)

    return make


def probabilities(runs, plugins, *addresses, part="test"):
    x = split(DIGITS, part)[0]
    return torch.stack([load(address, runs=runs, plugins=plugins).probabilities(x) for address in addresses])


def test_runs_of_any_architecture_and_kind(runs, combine, plugins):
    names = ("a", "b", "seeds", "folds@fold-1", "search@trial-0")
    outcome = combine(*names)
    assert [member.source for member in outcome.members] == [
        "a/0001", "b/0001", "folds/0001@fold-1", "search/0001@trial-0", "seeds/0001"
    ]  # fmt: skip
    mean = probabilities(runs, plugins, *names).mean(0)
    torch.testing.assert_close(probabilities(runs, plugins, outcome.run)[0], mean, rtol=1e-4, atol=1e-6)
    found = evaluate(outcome.run, runs=runs, plugins=plugins)
    assert found.metrics == pytest.approx(dict(outcome.test), rel=1e-5)
    each = probabilities(runs, plugins, *names).double().numpy()
    assert found.spread["std"] == pytest.approx(each.std(axis=0).mean(), rel=1e-4)
    assert outcome.relative_seconds is None
    assert outcome.train is None
    assert not (outcome.run / "members").exists()


def test_an_ensemble_of_one_is_its_member(runs, combine, plugins):
    x = split(DIGITS, "test")[0]
    with torch.no_grad():
        for name in ("a", "b", "seeds", "search@trial-1"):
            own = load(combine(name).run, runs=runs, plugins=plugins)(x)
            assert torch.equal(own, load(name, runs=runs, plugins=plugins)(x))


def test_the_order_does_not_matter(combine):
    first, second = combine("a", "b", "search@trial-1"), combine("search@trial-1", "b", "a")
    assert model_bits(first.run) == model_bits(second.run)
    texts = [(outcome.run / "model/model.json").read_text() for outcome in (first, second)]
    assert texts[0] == texts[1]
    assert dict(first.test) == dict(second.test)


@pytest.mark.parametrize("strategy", ["voting", "greedy", "soup", "average_weights"])
def test_the_order_in_a_recipe_does_not_matter_either(runs, plugins, strategy):
    names = ["child", "sister", "a"]
    bits = []
    for order in (names, names[::-1]):
        section = {"strategy": strategy, "runs": order}
        outcome = ensemble(network(name=f"order-{strategy}", ensemble=section), runs=runs, plugins=plugins)
        bits.append((model_bits(outcome.run), (outcome.run / "model/model.json").read_text()))
    assert bits[0] == bits[1]


def test_an_ensemble_of_ensembles(runs, combine, plugins):
    inner = combine("a", "b", name="inner")
    outer = combine("inner", "c", name="outer")
    torch.testing.assert_close(
        probabilities(runs, plugins, outer.run)[0],
        probabilities(runs, plugins, inner.run, "c").mean(0),
        rtol=1e-4,
        atol=1e-6,
    )
    thrice = combine("outer", "inner", "b", name="thrice")
    torch.testing.assert_close(
        probabilities(runs, plugins, thrice.run)[0],
        probabilities(runs, plugins, outer.run, inner.run, "b").mean(0),
        rtol=1e-4,
        atol=1e-6,
    )
    assert evaluate(thrice.run, runs=runs, plugins=plugins).metrics == pytest.approx(dict(thrice.test), rel=1e-5)


def test_members_of_a_trained_ensemble_and_the_whole(runs, combine, plugins):
    bag = ensemble(network(name="bag", ensemble={"strategy": "bagging", "members": 2}), runs=runs, plugins=plugins)
    boost = {"strategy": "gradient_boosting", "members": 2}
    boosted = ensemble(network(name="boost", ensemble=boost), runs=runs, plugins=plugins)
    outcome = combine("bag@bag-1", "bag", "boost")
    torch.testing.assert_close(
        probabilities(runs, plugins, outcome.run)[0],
        probabilities(runs, plugins, "bag@bag-1", bag.run, boosted.run).mean(0),
        rtol=1e-4,
        atol=1e-6,
    )
    with pytest.raises(UsageError, match="has no member 'bag-7'; there are bag-0, bag-1"):
        combine("bag@bag-7", "a")


def test_the_best_of_a_search(runs, combine, plugins):
    trials = [entry["identity"] for entry in facts_of(runs / "search/0001")["members"]]
    outcome = combine("search", top=2)
    assert outcome.strategy == "top_k"
    assert {member.source for member in outcome.members} == {f"search/0001@{trial}" for trial in trials[:2]}
    mean = probabilities(runs, plugins, *(f"search@{trial}" for trial in trials[:2])).mean(0)
    torch.testing.assert_close(probabilities(runs, plugins, outcome.run)[0], mean, rtol=1e-4, atol=1e-6)
    weighed = combine("search", top=3, overrides=['ensemble.strategy={name="top_k",weights="score"}'])
    assert weighed.strategy == "top_k"
    weights = load_file(weighed.run / "model/model.safetensors")["combiner.weights"]
    scores = {member.identity: member.score for member in weighed.members}
    order = sorted(scores, key=lambda identity: scores[identity])
    distances = np.array([scores[identity] - scores[order[0]] for identity in sorted(scores)])
    wanted = np.exp(-distances / (distances.sum() / 2))
    np.testing.assert_allclose(weights.numpy(), wanted / wanted.sum(), rtol=1e-5)


def test_greedy_is_never_below_its_best_member(runs, combine, plugins):
    outcome = combine("a", "b", "c", "seeds", strategy="greedy")
    losses = [evaluate(n, split="val", runs=runs, plugins=plugins).metrics["loss"] for n in ("a", "b", "c", "seeds")]
    assert outcome.val["loss"] <= min(losses) + 1e-7
    assert [member.score for member in outcome.members] == pytest.approx(losses, rel=1e-5)


def test_models_of_folds_are_asked_for_rows_that_they_have_not_seen(runs, combine, plugins):
    """Two cross-validations: what decides are their out-of-fold scores over training and validation rows."""
    other = network(name="others", model=DEEP)
    train(other, kfold=3, runs=runs, plugins=plugins)
    outcome = combine("folds", "others", strategy="greedy")
    for member, name in zip(outcome.members, ("folds", "others"), strict=True):
        assert member.score == pytest.approx(facts_of(runs / name / "0001")["best_score"], abs=0.02)
    parts = [split(DIGITS, name) for name in ("train", "val")]
    x, y = torch.cat([p[0] for p in parts]), np.concatenate([p[1] for p in parts])
    for member, name in zip(outcome.members, ("folds", "others"), strict=True):
        out = np.zeros((len(y), 10))
        for number, fold in enumerate(json.loads((runs / name / "0001/folds.json").read_text())["folds"]):
            model = load(f"{name}@fold-{number}", runs=runs, plugins=plugins)
            out[fold["held_out"]] = model.probabilities(x[fold["held_out"]])
        assert member.score == pytest.approx(-np.log(out[np.arange(len(y)), y]).mean(), rel=1e-4)
    assert outcome.val is None
    assert facts_of(outcome.run)["trained_on"] == ["train", "val"]


def test_an_ensemble_with_a_fold_of_a_run_has_seen_validation_rows(runs, combine, plugins):
    mixed = combine("a", "folds@fold-1", name="mixed")
    assert facts_of(mixed.run)["trained_on"] == ["train", "val"]
    held_out = json.loads((runs / "folds/0001/folds.json").read_text())["folds"][1]["held_out"]
    rows = len([row for row in held_out if row >= len(split(DIGITS, "train")[1])])
    assert any(f"the runs share {rows} rows that none was trained on" in note for note in mixed.notes)
    judged = evaluate(mixed.run, split="val", runs=runs, plugins=plugins)
    assert (judged.rows, judged.note) == (rows, "the val rows that its members have in common")
    assert judged.metrics["loss"] == pytest.approx(mixed.val["loss"], rel=1e-5)
    further = combine("mixed", "b")
    assert any(f"the runs share {rows} rows that none was trained on" in note for note in further.notes)


def test_trials_of_a_cross_validated_search(runs, combine, plugins):
    space = {"train.optimizer.lr": {"log_uniform": [1e-3, 1e-1]}}
    section = {"trials": 3, "kfold": 2, "space": space}
    tune(network(name="crossed", train={"epochs": 2}, tune=section), runs=runs, plugins=plugins)
    outcome = combine("crossed", top=2, strategy="greedy")
    scores = {entry["identity"]: entry for entry in facts_of(runs / "crossed/0001")["members"]}
    for member in outcome.members:
        entry = scores[member.source.partition("@")[2]]
        assert member.score == pytest.approx(entry["score"], abs=0.02)
    assert outcome.val is None


def test_checkpoints_of_a_run(runs, combine, plugins):
    outcome = combine("a", strategy="checkpoints", members=2)
    assert [member.epoch for member in outcome.members if member.used] == [3, 4]
    x = split(DIGITS, "test")[0]
    mean = []
    model = load("a", runs=runs, plugins=plugins)
    for number in (3, 4):
        (file,) = (runs / "a/0001/checkpoints").glob(f"epoch-000{number}-*/network.safetensors")
        model.network.load_state_dict(load_file(file))
        mean.append(model.probabilities(x))
    own = load(outcome.run, runs=runs, plugins=plugins).probabilities(x)
    torch.testing.assert_close(own, torch.stack(mean).mean(0), rtol=1e-4, atol=1e-6)


def test_average_of_weights(runs, combine, plugins):
    outcome = combine("child", "sister", strategy="average_weights")
    files = [load_file(runs / f"{name}/0001/model/model.safetensors") for name in ("child", "sister")]
    own = load_file(outcome.run / "model/model.safetensors")
    assert own.keys() == files[0].keys()
    for name, tensor in own.items():
        wanted = (files[0][name].double() + files[1][name].double()) / 2
        torch.testing.assert_close(tensor, wanted.to(tensor.dtype), rtol=1e-6, atol=1e-8)
    assert not [note for note in outcome.notes if "same weights" in note]
    assert outcome.kind == "weights"
    soup = combine("child", "sister", "a", strategy="soup")
    assert soup.val["loss"] <= min(member.score for member in soup.members) + 1e-7
    strangers = combine("a", "c", strategy="average_weights")
    assert any("did not start from the same weights" in note for note in strangers.notes)


def test_distilling_an_ensemble(runs, combine, plugins):
    teacher = combine("a", "b", name="teacher")
    outcome = combine("teacher", strategy="distill", name="pupil")
    assert outcome.kind == "single"
    member = next(member for member in outcome.members if member.used)
    assert (member.identity, member.epochs) == ("student", 12)
    x = split(DIGITS, "test")[0]
    with torch.no_grad():
        own = load(outcome.run, runs=runs, plugins=plugins)
        assert torch.equal(own(x), load(f"{outcome.run}@student", runs=runs, plugins=plugins)(x))
    assert sum(p.numel() for p in own.parameters()) == 64 * 12 + 12 + 12 * 10 + 10
    assert len(_history(outcome.run)) == member.epoch == 12  # the last counts
    assert teacher.run.exists()


def _history(run):
    return [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]


def test_stacking_of_runs(runs, combine, plugins):
    outcome = combine("a", "b", strategy="stacking", overrides=["ensemble.strategy.meta_epochs=5"])
    assert outcome.val is None  # the meta-model was fitted to these rows
    x = split(DIGITS, "test")[0]
    model = load(outcome.run, runs=runs, plugins=plugins)
    with torch.no_grad():
        fed = torch.cat([p for p in probabilities(runs, plugins, "a", "b")], dim=1)
        torch.testing.assert_close(model(x), model.part("meta")(fed), rtol=1e-5, atol=1e-6)
    assert evaluate(outcome.run, runs=runs, plugins=plugins).metrics == pytest.approx(dict(outcome.test), rel=1e-5)


@pytest.mark.parametrize("strategy", ["voting", "greedy", "stacking", "distill", "top_k"])
def test_the_recipe_of_an_ensemble_of_runs_reruns_to_the_same_bits(runs, combine, plugins, strategy):
    options = {"stacking": ["ensemble.strategy.meta_epochs=5"]}.get(strategy, [])
    first = combine(*(["a"] if strategy == "distill" else ["a", "b"]), strategy=strategy, overrides=options)
    again = ensemble(first.run / "recipe.toml", runs=runs, plugins=plugins)
    assert model_bits(first.run) == model_bits(again.run)
    assert dict(first.test) == dict(again.test)


def test_runs_are_found_wherever_the_command_is_given(runs, plugins, monkeypatch, tmp_path):
    first = ensemble(os.path.relpath(runs / "a/0001"), runs / "b", runs=runs, plugins=plugins)
    monkeypatch.chdir(tmp_path)
    again = ensemble(first.run / "recipe.toml", runs=tmp_path / "elsewhere", plugins=plugins)
    assert model_bits(first.run) == model_bits(again.run)


def test_missing_and_damaged_runs_are_left_out_where_that_is_asked_for(runs, plugins, folder):
    shutil.copytree(runs / "a", folder / "runs/a")
    shutil.copytree(runs / "b", folder / "runs/b")
    shutil.copytree(runs / "c", folder / "runs/c")
    shutil.copytree(runs / "folds", folder / "runs/folds")
    (folder / "runs/b/0001/model/model.safetensors").write_bytes(b"torn")
    (folder / "runs/folds/0001/folds.json").write_text("{")
    outcome = ensemble("gone", "b", "folds", "a", "c", skip_missing=True, plugins=plugins)
    assert [member.source for member in outcome.members] == ["a/0001", "c/0001"]
    notes = "\n".join(outcome.notes)
    for part in ("gone is left out: there is no run 'gone'", "b/0001 is left out: cannot read", "folds.json"):
        assert part in notes, notes
    again = ensemble(outcome.run / "recipe.toml", plugins=plugins)
    assert model_bits(outcome.run) == model_bits(again.run)


def test_other_splits_leave_common_rows_alone_to_decide(runs, plugins, folder):
    """Runs on one file that split it otherwise: what decides, and what is tested, are rows that none was trained on."""
    x, y = split(DIGITS, "train")
    with h5py.File("whole.h5", "w") as file:
        file["x"], file["y"] = x[:600].flatten(1).float().numpy(), y[:600]
        file["y"].attrs["classes"] = list("0123456789")
    for seed in (1, 2):
        data = {"path": "whole.h5", "split": {"val": 0.3, "test": 0.3}}
        train(network(data=data, seed=seed, name=f"seed{seed}", train={"epochs": 2}), plugins=plugins)
    outcome = ensemble("seed1", "seed2", strategy="greedy", plugins=plugins)
    assert 0 < outcome.comparison.rows < 180
    assert any("of the first one's 180 test rows" in note for note in outcome.notes)
    assert any("rows that none was trained on" in note for note in outcome.notes)


def test_members_that_were_trained_on_validation_rows_do_not_decide_by_them(plugins, folder):
    together = {"rows": "train+val", "monitor": "train_loss", "epochs": 1}
    train(network(train=together), seeds=2, plugins=plugins)
    outcome = ensemble("small@seed-0", "small@seed-1", plugins=plugins)
    assert outcome.val is None
    assert facts_of(outcome.run)["trained_on"] == ["train", "val"]


def test_runs_that_were_split_differently_share_their_unseen_rows_at_every_level(folder, plugins):
    """Labels are coins: what is scored on rows that some member was trained on would look learnt."""
    generator = np.random.default_rng(5)
    x, y = generator.normal(size=(300, 20)).astype("float32"), generator.integers(0, 2, 300)
    with h5py.File(folder / "coins.h5", "w") as file:
        file["x"], file["y"] = x, y
        file["y"].attrs["classes"] = ["no", "yes"]
    tables = {
        "data": {"path": str(folder / "coins.h5"), "split": {"val": 0.2, "test": 0.3}},
        "model": {"architecture": "mlp", "hidden": [64]},
        "train": {"epochs": 30, "select": "last", "optimizer": {"name": "adam", "lr": 1e-2}},
    }
    for number, seed in enumerate((0, 10)):
        train({"name": f"t{number}", "seed": seed, **tables}, plugins=plugins)
    both = ensemble("t0", "t1", name="both", plugins=plugins)
    rows = json.loads((both.run / "rows.json").read_text())
    assert not set(rows["seen"]) & {*rows["val"], *rows["test"]}
    judged = evaluate(both.run, plugins=plugins)
    assert judged.rows == len(rows["test"]) < 60
    assert judged.metrics["accuracy"] == pytest.approx(both.test["accuracy"])
    assert evaluate(both.run, split="val", plugins=plugins).rows == len(rows["val"])
    with pytest.raises(UsageError, match=r"has no split 'valid'|has no valid rows"):
        evaluate(both.run, split="valid", plugins=plugins)
    nested = ensemble("both", "t0", strategy="greedy", name="nested", plugins=plugins)
    inner = json.loads((nested.run / "rows.json").read_text())
    assert set(inner["test"]) <= set(rows["test"])
    assert set(inner["val"]) <= set(rows["val"])
    pupil = ensemble(
        {"name": "pupil", "seed": 10, **tables, "ensemble": {"strategy": "distill", "runs": ["t0"]}}, plugins=plugins
    )
    own = json.loads((pupil.run / "rows.json").read_text())
    assert not set(own["seen"]) & {*own["val"], *own["test"]}
    assert evaluate(pupil.run, plugins=plugins).metrics["accuracy"] == pytest.approx(pupil.test["accuracy"])
