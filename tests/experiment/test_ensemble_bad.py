"""Ensembles that cannot be, or go wrong: a clear error, nothing lost, nothing half-made left."""

import json
import shutil

import h5py
import numpy as np
import pytest
import torch
from ensembles import DIGITS, binary_file, bits_of, facts_of, network, regression_file, split
from safetensors.torch import load_file, save_file

from dlcli.errors import DataError, PluginError, RecipeError, TrainingError, UsageError
from dlcli.experiment.ensemble import ensemble
from dlcli.experiment.ensembling import conductor as ensemble_conductor
from dlcli.experiment.evaluate import evaluate
from dlcli.experiment.load import load
from dlcli.experiment.train import train
from dlcli.experiment.tune import tune
from dlcli.report.ensemble_plain import QuietEnsembleDisplay
from dlcli.testing import isolated_plugins

DEEP = {"architecture": "mlp", "hidden": [8, 8]}


@pytest.fixture(scope="module")
def plugins():
    """The built-ins, and a strategy that goes wrong."""
    torch.set_num_threads(1)
    return isolated_plugins("curious")


@pytest.fixture(scope="module")
def kept(tmp_path_factory, plugins):
    """Runs of other questions and other networks, which tests copy."""
    folder = tmp_path_factory.mktemp("kept")
    root = folder / "runs"
    x, y = split(DIGITS, "train")

    def file(name, inputs, target, classes="0123456789", field="x"):
        with h5py.File(folder / name, "w") as found:
            for part, rows in (("train", slice(0, 200)), ("val", slice(200, 260)), ("test", slice(260, 320))):
                found[f"{part}/{field}"], found[f"{part}/y"] = inputs[rows], target[rows]
                found[f"{part}/y"].attrs["classes"] = list(classes)
        return folder / name

    flat = x.flatten(1).float().numpy()
    files = {
        "a": DIGITS,
        "b": DIGITS,
        "classes": file("classes.h5", flat, y, "abcdefghij"),
        "others": file("others.h5", flat + 1, y),
        "flat": file("flat.h5", flat, y),
        "narrow": file("narrow.h5", flat[:, :32], y),
        "named": file("named.h5", flat, y, field="z"),
        "diabetes": regression_file(folder / "diabetes.h5"),
        "cancer": binary_file(folder / "cancer.h5"),
    }
    for name, data in files.items():
        model = DEEP if name == "b" else {"architecture": "mlp", "hidden": [8]}
        train(network(data, name=name, model=model, train={"epochs": 1}), runs=root, plugins=plugins)
    return root


@pytest.fixture
def runs(kept, folder):
    """Copies of those runs, of the same data."""
    shutil.copytree(kept, folder / "runs")
    for file in kept.parent.glob("*.h5"):
        shutil.copy(file, folder)
    return folder / "runs"


def files_of(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("names", "error", "message"),
    [
        (("flat", "classes"), UsageError, r"has the classes a, b, .*, but .*classes .*|has the classes 0, 1, .* has a"),
        (
            ("a", "diabetes"),
            UsageError,
            r"has the task regression, but .*a/0001 has multiclass: models can be combined",
        ),
        (("a", "cancer"), UsageError, r"has the task binary, but .* has multiclass"),
        (("flat", "narrow"), UsageError, r"has the inputs x features \(32,\), but .* has x features \(64,\)"),
        (("flat", "named"), UsageError, r"has the inputs z features \(64,\), but .* has x features \(64,\)"),
        (("flat", "others"), UsageError, r"was trained on other data .* than the first run .*: .*combine runs on one"),
        (("a", "a"), UsageError, r"a/0001 is there twice: its vote would count double; name each run once"),
        (("a", "gone"), UsageError, r"there is no run 'gone'; there are .*; --skip-missing goes on without it"),
        (("gone", "lost"), UsageError, r"there is no run 'gone'"),
        (("a@fold-1", "b"), UsageError, r"has no member 'fold-1'; it is one network and has none"),
        (("a", "recipe.toml"), UsageError, r"a recipe stands alone: give one recipe, or runs"),
        ((), UsageError, r"there is nothing to combine: give a recipe, or runs, or a run to resume"),
    ],
)
def test_runs_that_do_not_go_together(runs, plugins, names, error, message):
    before = files_of(runs)
    with pytest.raises(error, match=message):
        ensemble(*names, plugins=plugins)
    assert files_of(runs) == before


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"strategy": "bagging"}, RecipeError, r"bagging trains its members itself: give it a recipe instead of runs"),
        ({"strategy": "adaboost"}, RecipeError, r"adaboost trains its members itself"),
        ({"top": 2}, UsageError, r"ensemble\.top \(--top\) takes the best trials of a search, and there is no search"),
        ({"top": 0}, RecipeError, r"ensemble\.top: expected a whole number ≥ 1, got 0"),
        ({"members": 0}, RecipeError, r"ensemble\.members: expected a whole number ≥ 1 or a list.*, got 0"),
        ({"members": 5}, RecipeError, r"voting takes every run that is given, whatever their number; remove the key"),
        ({"strategy": "votting"}, RecipeError, r"unknown ensemble 'votting'; did you mean 'voting'"),
        ({"strategy": "average_weights"}, UsageError, r"-0001 is built or preprocessed otherwise than ."),
        ({"strategy": "soup"}, UsageError, r"soup averages weights, but .* is built or preprocessed otherwise than"),
        ({"strategy": "checkpoints"}, UsageError, r"checkpoints combines those of one run, but 2 models are given"),
        ({"strategy": "distill"}, UsageError, r"distill learns from exactly one model, but 2 are given"),
        ({"strategy": "top_k", "members": 3}, UsageError, r"top_k is to combine the best 3 models, but 2 are given"),
        ({"overrides": ["ensemble.strategy=stacking", "ensemble.strategy.layers=2"]}, UsageError, r"has one layer"),
        ({"device": "cuda:9"}, RecipeError, r"train\.device"),
        ({"overrides": ["ensemble.votes=3"]}, RecipeError, r"unknown key 'votes'"),
    ],
)
def test_options_that_cannot_be_for_runs(runs, plugins, options, error, message):
    before = files_of(runs)
    with pytest.raises(error, match=message):
        ensemble("a", "b", plugins=plugins, **options)
    assert files_of(runs) == before
    assert not [path for path in runs.iterdir() if path.name.startswith("a-") and any(path.iterdir())]


@pytest.mark.parametrize(
    ("section", "tables", "message"),
    [
        ({"members": 0}, {}, r"ensemble\.members: expected a whole number ≥ 1 or a list.*, got 0"),
        ({"members": []}, {}, r"ensemble\.members: expected .*, got \[\]"),
        ({"members": [{"architecture": "mlp", "count": 0}]}, {}, r"ensemble\.members\[0\]\.count: expected a .* ≥ 1"),
        ({"members": [{"architecture": "mpl"}]}, {}, r"unknown architecture 'mpl'; did you mean 'mlp'"),
        ({"strategy": "bagin"}, {}, r"unknown ensemble 'bagin'; did you mean 'bagging'"),
        ({"strategy": "top_k"}, {}, r"top_k combines runs that exist: give them after dlcli ensemble"),
        ({"strategy": "distill"}, {}, r"distill combines runs that exist"),
        ({"strategy": "ema", "members": 3}, {}, r"ema makes one network: it takes no number of members; remove"),
        ({"top": 2}, {}, r"ensemble\.top: it takes the best trials of a search among ensemble\.runs, and there are no"),
        ({}, {"train": {"seeds": 3}}, r"train\.seeds: an ensemble has members of its own: set ensemble\.members"),
        ({}, {"train": {"kfold": 3}}, r"train\.kfold: an ensemble trains on one split; remove the key"),
        ({}, {"train": {"start_from": "a"}}, r"train\.start_from: members of an ensemble start fresh"),
    ],
)
def test_recipes_that_cannot_be(folder, plugins, section, tables, message):
    with pytest.raises(RecipeError, match=message):
        ensemble(network(ensemble=section, **tables), plugins=plugins)
    assert not (folder / "runs").exists()


@pytest.mark.parametrize("strategy", ["snapshot", "soup", "checkpoints", "fast_geometric"])
def test_a_strategy_of_one_architecture_refuses_others(folder, plugins, strategy):
    members = [{"architecture": "linear"}, {"architecture": "mlp", "hidden": [5]}]
    message = rf"{strategy} trains networks of the recipe's \[model\] alone, but \[\[ensemble.members\]\] lists linear"
    with pytest.raises(UsageError, match=message):
        ensemble(network(train={"epochs": 20}, ensemble={"strategy": strategy, "members": members}), plugins=plugins)
    assert not list(folder.glob("runs/*"))


class Telling(QuietEnsembleDisplay):
    """Knows whether anything was shown."""

    shown = False

    def run_started(self, *told, **more):
        self.shown = True


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"strategy": "gradient_boosting", "data": {"scale_target": True}},
            r"data\.scale_target: these networks add up",
        ),
        ({"strategy": "soup", "train": {"epochs": 1}}, r"soup trains in two parts, but train\.epochs is 1"),
        (
            {"strategy": "bagging", "regularizers": [{"name": "random_flip"}]},
            r"random_flip changes images, but no input",
        ),
    ],
)
def test_what_can_be_seen_before_training_shows_and_leaves_nothing(folder, plugins, changes, message):
    data = regression_file(folder / "diabetes.h5")
    recipe = network(data, ensemble={"strategy": changes.pop("strategy")})
    recipe["data"] |= changes.pop("data", {})
    display = Telling()
    with pytest.raises(UsageError, match=message):
        ensemble({**recipe, **changes}, display=display, plugins=plugins)
    assert not display.shown
    assert not list(folder.glob("runs/*"))


def test_tables_of_members_beside_runs(runs, plugins):
    section = {"runs": ["a", "b"], "members": [{"architecture": "linear"}]}
    with pytest.raises(
        RecipeError, match=r"ensemble\.members: tables list networks to train, but the members are runs"
    ):
        ensemble(network(ensemble=section), plugins=plugins)


@pytest.mark.parametrize("strategy", ["greedy", "soup", {"name": "voting", "vote": "weighted"}])
def test_strategies_that_need_validation_rows_where_there_are_none(folder, plugins, strategy):
    together = {"rows": "train+val", "monitor": "train_loss"}
    with pytest.raises(UsageError, match=r"(chooses|fits its weights) (by|on) validation rows, and there are none"):
        ensemble(network(train=together, ensemble={"strategy": strategy}), plugins=plugins)
    assert not list(folder.glob("runs/*"))


def test_runs_that_share_no_rows_to_decide_by(folder, plugins):
    together = {"rows": "train+val", "monitor": "train_loss", "epochs": 1}
    for name in ("one", "two"):
        train(network(name=name, train=together), plugins=plugins)
    for strategy in ("greedy", "soup"):
        with pytest.raises(RecipeError, match=rf"{strategy} chooses by validation rows, and the runs share no rows"):
            ensemble("one", "two", strategy=strategy, plugins=plugins)
    with pytest.raises(UsageError, match=r"stacking of runs .* validation rows, and there are none"):
        ensemble("one", "two", strategy="stacking", plugins=plugins)
    assert sorted(path.name for path in (folder / "runs").iterdir() if any(path.iterdir())) == ["one", "two"]


@pytest.mark.parametrize(
    ("section", "error", "message"),
    [
        ({"strategy": {"name": "voting", "vote": "hard"}}, UsageError, r"counts classes, but the task is regression"),
        (
            {"temperature_scaling": True},
            RecipeError,
            r"ensemble\.temperature_scaling: it divides logits of classes, but",
        ),
    ],
)
def test_what_regression_does_not_have(folder, plugins, section, error, message):
    data = regression_file(folder / "diabetes.h5")
    with pytest.raises(error, match=message):
        ensemble(network(data, ensemble=section), plugins=plugins)
    assert not list(folder.glob("runs/*"))


def test_what_regression_runs_do_not_have(runs, plugins):
    before = files_of(runs)
    with pytest.raises(UsageError, match="counts classes, but the task is regression"):
        ensemble("diabetes", overrides=['ensemble.strategy={name="voting",vote="hard"}'], plugins=plugins)
    with pytest.raises(RecipeError, match="it divides logits of classes, but the task is regression"):
        ensemble("diabetes", overrides=["ensemble.temperature_scaling=true"], plugins=plugins)
    assert files_of(runs) == before


@pytest.mark.parametrize("damage", ["weights", "description", "model", "run.json"])
def test_a_damaged_member_is_named(runs, plugins, damage):
    run = runs / "b/0001"
    message = {
        "weights": r"cannot read .*b/0001/model/model\.safetensors: .*; --skip-missing goes on without it",
        "description": r"b/0001/model/model\.json.*; --skip-missing goes on without it",
        "model": r"b/0001 has no model yet .*; --skip-missing goes on without it",
        "run.json": r"b/0001 is no readable run: run\.json.*",
    }[damage]
    if damage == "model":
        shutil.rmtree(run / "model")
    else:
        name = {"weights": "model/model.safetensors", "description": "model/model.json"}.get(damage, damage)
        (run / name).write_text("torn")
    before = files_of(runs)
    with pytest.raises(DataError, match=message):
        ensemble("a", "b", plugins=plugins)
    assert files_of(runs) == before
    outcome = ensemble("a", "b", skip_missing=True, plugins=plugins)
    assert [member.source for member in outcome.members] == ["a/0001"]
    assert any("b/0001 is left out: " in note for note in outcome.notes)
    with pytest.raises(DataError, match=r"no run is left to combine: .*b.* is left out"):
        ensemble("b", skip_missing=True, name="none", plugins=plugins)


def test_all_missing_is_an_error_even_where_missing_ones_are_left_out(runs, plugins):
    section = {"runs": ["gone", "lost"], "skip_missing": True}
    with pytest.raises(DataError, match=r"no run is left to combine: gone is left out: .*; lost is left out: "):
        ensemble(network(ensemble=section), plugins=plugins)


@pytest.mark.parametrize("nested", [False, True])
def test_a_member_whose_plugin_is_absent_says_what_to_install(runs, plugins, nested):
    name = "b"
    if nested:
        ensemble("a", "b", name="inner", plugins=plugins)
        name = "inner"
    file = runs / f"{name}/0001/model/model.json"
    table = json.loads(file.read_text())
    table["packages"]["dlcli-rare"] = "1.2"
    part = table["models"][0] if nested else table
    part["architecture"]["name"] = "dlcli-rare:net"
    file.write_text(json.dumps(table))
    with pytest.raises(
        PluginError, match=rf"{name}/0001/model needs packages that are not installed: pip install dlcli-rare==1\.2"
    ):
        ensemble("a", name, plugins=plugins)
    with pytest.raises(PluginError, match=r"dlcli-rare"):
        ensemble("a", name, skip_missing=True, plugins=plugins)


def test_a_member_that_is_fed_by_others_does_not_stand_alone(runs, plugins):
    stack = {"name": "stacking", "folds": 2, "meta_epochs": 2}
    recipe = network(name="stack", train={"epochs": 1}, ensemble={"strategy": stack, "members": 2})
    ensemble(recipe, plugins=plugins)
    for names in (("stack@meta",), ("a", "stack@meta"), ("stack@meta", "stack@member-0")):
        with pytest.raises(
            (DataError, UsageError),
            match=r"stack/0001@meta is fed answers by other members of its run and .*; give the whole run",
        ):
            ensemble(*names, plugins=plugins)


def test_one_run_without_checkpoints(runs, plugins):
    with pytest.raises(DataError, match=r"a/0001 kept 1 checkpoints of one network, and two at least are wanted"):
        ensemble("a", strategy="checkpoints", plugins=plugins)


def test_more_trials_than_the_search_kept(folder, plugins):
    space = {"train.optimizer.lr": {"log_uniform": [1e-4, 1e-1]}}
    tune(network(name="search", train={"epochs": 1}, tune={"trials": 2, "space": space}), plugins=plugins)
    with pytest.raises(UsageError, match=r"kept the models of its best 2 trials, and 5 are asked for; take --top 2"):
        ensemble("search", top=5, plugins=plugins)


REFUSED = {
    "nobody": r"asked for the members none in round 1: each round needs members that were not there before",
    "twice in a round": r"asked for the members one, one in round 1",
    "path": r"the identity '\.\./one', which names a folder and must be of letters, digits, - and _",
    "trains on test rows": r"asked for rows that are neither training nor validation rows",
    "chooses by test rows": r"asked for rows that are neither training nor validation rows",
    "twice": r"asked for the members one in round 2: each round needs members that were not there before",
    "outputs": r"asked for rows that are neither training nor validation rows, such as test rows: nothing may be",
    "target": r"neither training nor validation rows",
    "score": r"neither training nor validation rows",
    "stranger": r"asked for the member 'two', which is not there",
}


@pytest.mark.parametrize("sin", REFUSED)
def test_a_strategy_is_refused_what_it_must_not_ask(folder, plugins, sin):
    strategy = {"name": "curious", "sin": sin}
    recipe = network(train={"epochs": 1, "checkpoint_seconds": 0.0}, ensemble={"strategy": strategy})
    with pytest.raises(
        PluginError, match=rf"the strategy curious asked for .*{REFUSED[sin].removeprefix('asked for ')}"
    ):
        ensemble(recipe, plugins=plugins)
    left = list(folder.glob("runs/small/0*"))
    # What was trained is kept, and says why it ended; what trained nothing leaves nothing.
    nothing = ("nobody", "twice in a round", "path", "trains on test rows", "chooses by test rows")
    assert len(left) == (sin not in nothing)
    assert [facts_of(run)["status"] for run in left] == ["failed"] * len(left)


@pytest.mark.parametrize(
    ("sin", "message"),
    [
        ("breaks", r"the strategy curious failed \(KeyError: 'oops'\); its package is at fault"),
        (
            "unknown member",
            r"the strategy curious combines two, which it did not have trained; its package is at fault",
        ),
        (
            "narrow",
            r"the strategy curious combines outputs of shape \(1, \d+, 10\) into \(\d+, 9\), expected finite ones",
        ),
    ],
)
def test_the_faults_of_a_strategy_are_told_as_its_own(folder, plugins, sin, message):
    strategy = {"name": "curious", "sin": sin}
    with pytest.raises(PluginError, match=message):
        ensemble(network(train={"epochs": 1}, ensemble={"strategy": strategy}), plugins=plugins)


def test_a_model_with_numbers_that_are_not_finite_is_damaged(runs, plugins):
    file = runs / "b/0001/model/model.safetensors"
    tensors = load_file(file)
    tensors["network.head.bias"][0] = float("nan")
    save_file(tensors, file)
    with pytest.raises(DataError, match=r"b/0001/model is damaged: network\.head\.bias holds numbers that are not"):
        ensemble("a", "b", plugins=plugins)
    outcome = ensemble("a", "b", skip_missing=True, plugins=plugins)
    assert [member.source for member in outcome.members] == ["a/0001"]


def test_a_finished_ensemble_that_cannot_be_enlarged_stays_finished(folder, plugins):
    outcome = ensemble(network(ensemble={"strategy": "voting", "members": 2}), plugins=plugins)
    (outcome.run / "members/member-1/model/model.safetensors").write_text("torn")
    with pytest.raises(DataError, match=r"cannot read .*member-1/model/model\.safetensors"):
        ensemble(resume=outcome.run, members=3, plugins=plugins)
    assert facts_of(outcome.run)["status"] == "finished"
    assert evaluate(outcome.run, plugins=plugins).metrics == pytest.approx(outcome.test)


def test_sources_that_are_none_are_told(folder, plugins):
    for source in (None, 3):
        with pytest.raises(UsageError, match=f"a source is a recipe or a run: .*; got {source}"):
            ensemble(source, plugins=plugins)


def test_a_strategy_that_gives_up_loses_nothing(folder, plugins):
    strategy = {"name": "curious", "sin": "gives up"}
    with pytest.raises(UsageError, match=r"^it cannot be done; do something else$"):
        ensemble(network(train={"epochs": 1}, ensemble={"strategy": strategy}), plugins=plugins)
    facts = facts_of(folder / "runs/small/0001")
    assert (facts["status"], facts["error"]) == ("failed", "it cannot be done; do something else")
    assert [entry["identity"] for entry in facts["members"]] == ["one"]
    with pytest.raises(UsageError, match=r"^it cannot be done"):
        ensemble(resume="small", plugins=plugins)
    assert facts_of(folder / "runs/small/0001")["status"] == "failed"
    assert load("small@one", plugins=plugins).classes == tuple("0123456789")


def test_data_that_cannot_be_folded_leaves_nothing(folder, plugins):
    stack = {"name": "stacking", "folds": 400}
    with pytest.raises(DataError, match="too few for 400 folds"):
        ensemble(network(ensemble={"strategy": stack}), plugins=plugins)
    assert not list(folder.glob("runs/*"))


def test_an_engine_that_cannot_do_it_loses_nothing(folder, plugins):
    section = {"strategy": "voting", "members": 2}
    recipe = network(train={"averager": "ema", "epochs": 1}, ensemble=section)
    with pytest.raises(UsageError, match=r"--engine vectorized: a stack keeps no averages of weights"):
        ensemble(recipe, engine="vectorized", plugins=plugins)
    assert not list(folder.glob("runs/*"))


@pytest.fixture
def failing(monkeypatch):
    """Let `fit` say of some members that they failed."""

    def make(*identities):
        def fit(*arguments, **options):
            return [
                result if result.identity not in identities else type(result)(**{**vars(result), **lost})
                for result in real(*arguments, **options)
            ]

        lost = {"failure": "the loss became nan"}
        real = ensemble_conductor.fit
        monkeypatch.setattr(ensemble_conductor, "fit", fit)

    return make


@pytest.mark.parametrize("strategy", ["voting", "bagging", "greedy", "stacking"])
def test_a_member_that_fails_is_left_out_and_named(folder, plugins, failing, strategy):
    lost = {"voting": "member-1", "bagging": "bag-1", "greedy": "member-1", "stacking": "member-1-fold-0"}[strategy]
    failing(lost)
    options = {"folds": 2, "meta_epochs": 2} if strategy == "stacking" else {}
    section = {"strategy": {"name": strategy, **options}, "members": 3}
    outcome = ensemble(network(train={"epochs": 1}, ensemble=section), plugins=plugins)
    assert outcome.status == "finished"
    assert f"{lost} failed and is left out: the loss became nan" in outcome.notes
    entry = next(entry for entry in facts_of(outcome.run)["members"] if entry["identity"] == lost)
    assert (entry["failure"], entry["used"]) == ("the loss became nan", False)
    assert lost not in load(outcome.run, plugins=plugins).identities
    with pytest.raises(DataError, match=r"its training failed \(the loss became nan\)"):
        load(f"small@{lost}", plugins=plugins)
    again = ensemble(resume=outcome.run, plugins=plugins)
    assert dict(again.test) == dict(outcome.test)


def test_when_all_members_fail_the_run_fails(folder, plugins, failing):
    failing("member-0", "member-1")
    with pytest.raises(TrainingError, match="all 2 members of a round failed; member-0: the loss became nan"):
        ensemble(network(train={"epochs": 1}, ensemble={"members": 2}), plugins=plugins)
    facts = facts_of(folder / "runs/small/0001")
    assert facts["status"] == "failed"
    assert facts["error"].startswith("all 2 members")


def test_what_resuming_refuses(runs, plugins):
    recipe = network(name="bag", train={"epochs": 1}, ensemble={"strategy": "bagging", "members": 3})
    run = ensemble(recipe, plugins=plugins).run
    soup = {"strategy": "soup", "members": 2}
    other = ensemble(network(name="soup", train={"epochs": 2}, ensemble=soup), plugins=plugins).run
    mixed = {"members": [{"architecture": "mlp", "hidden": [4]}, {"architecture": "linear"}]}
    several = ensemble(network(name="mixed", train={"epochs": 1}, ensemble=mixed), plugins=plugins).run
    before = {path: bits_of(path) for path in (run, other, several)}
    texts = {path: files_of(path) for path in (run, other, several)}

    def refuse(message, path, error=UsageError, **options):
        with pytest.raises(error, match=message):
            ensemble(resume=path, plugins=plugins, **options)

    refuse(r"a/0001 is no ensemble: go on with dlcli train --resume .*a/0001", "a")
    refuse(r"a member goes on with its run: dlcli ensemble --resume .*bag/0001, not .*bag/0001@bag-1", "bag@bag-1")
    refuse(r"ensemble\.members of .* is 3 and may only grow, got 2; make a new ensemble", run, members=2)
    refuse(r"≥ 1 .*, got 0", run, RecipeError, members=0)
    refuse(r"soup cannot take more members: with another number its members would be others", other, members=4)
    refuse(r"are listed by architecture and cannot change", several, members=4)
    refuse(r"is not what it began with: train\.epochs: 1 → 2", run, overrides=["train.epochs=2"])
    refuse(r"is not what it began with: ensemble\.strategy.*samples", run, overrides=["ensemble.strategy.samples=0.5"])
    refuse(r"give no sources, strategy, --top or --name; only --members may grow", run, strategy="voting")
    refuse(r"give no sources, strategy, --top or --name", run, top=2)
    refuse(r"there is no run 'gone'", "gone")
    with pytest.raises(UsageError, match="give no sources, strategy, --top or --name"):
        ensemble("a", resume=run, plugins=plugins)
    with pytest.raises(UsageError, match=r"dlcli ensemble --resume"):
        train(resume=run, plugins=plugins)
    assert {path: bits_of(path) for path in before} == before
    assert {path: files_of(path) for path in before} == texts


def test_an_ensemble_of_runs_that_trained_does_not_go_on_with_other_runs(runs, plugins):
    run = ensemble("a", "b", strategy="stacking", overrides=["ensemble.strategy.meta_epochs=2"], plugins=plugins).run
    before = files_of(run)
    with pytest.raises(UsageError, match=r"combines a-0001, b-0001, but its runs are now a-0001: .*restore them, or"):
        ensemble(resume=run, overrides=['ensemble.runs=["a"]'], plugins=plugins)
    assert files_of(run) == before


def test_a_damaged_run_of_an_ensemble_is_named(folder, plugins):
    recipe = network(train={"epochs": 1}, ensemble={"strategy": "bagging", "members": 2})
    run = ensemble(recipe, plugins=plugins).run
    (run / "members/bag-1/training.json").write_text("{")
    with pytest.raises(DataError, match=r"bag-1/training\.json: .*; remove the folder of this member to train it anew"):
        ensemble(resume=run, plugins=plugins)
    bits = bits_of(run)
    shutil.rmtree(run / "members/bag-1")
    ensemble(resume=run, plugins=plugins)
    assert bits_of(run) == bits


def test_data_that_was_changed_is_refused(runs, plugins, folder):
    with h5py.File(folder / "flat.h5", "a") as file:
        file["train/x"][0, 0] = np.float32(9)
    before = files_of(runs)
    with pytest.raises(DataError, match=r"fingerprint"):
        ensemble("flat", plugins=plugins)
    assert files_of(runs) == before
