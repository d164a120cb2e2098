"""Every strategy end to end: the files that it leaves, its figures, its model in another process, its rerun."""

import json
import subprocess
import sys

import h5py
import numpy as np
import pytest
import torch
from ensembles import DIGITS, binary_file, facts_of, model_bits, network, regression_file, split
from safetensors.torch import load_file

from dlcli.contracts.randomness import derive, stream
from dlcli.errors import UsageError
from dlcli.experiment.ensemble import ensemble
from dlcli.experiment.evaluate import evaluate
from dlcli.experiment.load import load
from dlcli.experiment.train import train

SEVERAL = {
    "voting": {"members": 3},
    "hard": {"strategy": {"name": "voting", "vote": "hard"}, "members": 3},
    "weighted": {"strategy": {"name": "voting", "vote": "weighted"}, "members": 3},
    "bagging": {"members": 3},
    "columns": {"strategy": {"name": "bagging", "features": 0.5}, "members": 3},
    "adaboost": {"members": 3},
    "gradient_boosting": {"members": 3},
    "stacking": {"strategy": {"name": "stacking", "folds": 3, "meta_epochs": 5}, "members": 2},
    "through": {
        "strategy": {"name": "stacking", "folds": 2, "meta_epochs": 5, "passthrough": True, "layers": 2},
        "members": 2,
    },
    "average": {"strategy": {"name": "stacking", "folds": 2, "meta_epochs": 5, "final": "average"}, "members": 2},
    "greedy": {"members": 3},
}
OF_ONE = {
    "checkpoints": {"members": 3},
    "best": {"strategy": {"name": "checkpoints", "which": "best"}, "members": 2},
    "average_weights": {"members": 3},
    "soup": {"members": 2},
    "ema": {},
    "swa": {},
    "snapshot": {"members": 2},
    "fast_geometric": {"strategy": {"name": "fast_geometric", "pretrain": 0.5, "cycle_epochs": 1}, "members": 2},
}
ON_DIGITS = {**SEVERAL, **OF_ONE, "tempered": {"strategy": "voting", "members": 2, "temperature_scaling": True}}
ON_OTHERS = [name for name in SEVERAL if name not in ("through", "average")]
CASES = [("digits", name) for name in ON_DIGITS if name != "columns"]  # an image has none
CASES += [("diabetes", name) for name in ON_OTHERS if name != "hard"] + [("cancer", name) for name in ON_OTHERS]
PREDICT = """
import sys, numpy, torch, dlcli
torch.set_num_threads(1)
given = dict(numpy.load(sys.argv[1]))
found = {}
with torch.no_grad():
    for line in sys.stdin.read().split():
        data, run = line.split("=", 1)
        found[run] = dlcli.load(run)(torch.from_numpy(given[data])).numpy()
numpy.savez(sys.argv[2], **{run.replace("/", "|"): value for run, value in found.items()})
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    return {
        "digits": DIGITS,
        "diabetes": regression_file(folder / "diabetes.h5"),
        "cancer": binary_file(folder / "cancer.h5"),
    }


@pytest.fixture(scope="module")
def recipes(files):
    def make(data, name):
        section = {"strategy": name, **{**SEVERAL, **ON_DIGITS}[name]}
        model = {"architecture": "mlp", "hidden": [12], "norm": "batch"}
        return network(files[data], model=model, name=f"{data}-{name}", ensemble=section)

    return make


@pytest.fixture(scope="module")
def made(tmp_path_factory, plugins, recipes):
    """Outcomes by data and name, each made when it is first asked for and only read then."""
    runs = tmp_path_factory.mktemp("made")
    found = {}

    def get(data, name):
        if (data, name) not in found:
            found[data, name] = ensemble(recipes(data, name), runs=runs, plugins=plugins)
        return found[data, name]

    return get


def said(plugins, run, data, part="test"):
    with torch.no_grad():
        return load(run, plugins=plugins)(split(data, part)[0])


@pytest.mark.parametrize(("data", "name"), CASES)
def test_a_strategy_leaves_a_run_like_any_other(made, plugins, files, data, name):
    outcome = made(data, name)
    run = outcome.run
    facts = facts_of(run)
    assert (outcome.status, facts["status"], facts["command"]) == ("finished", "finished", "ensemble")
    assert facts["strategy"] == outcome.strategy
    assert {"run.json", "recipe.toml", "history.jsonl", "model", "members"} <= {path.name for path in run.iterdir()}
    assert {path.name for path in (run / "model").iterdir()} == {"model.json", "model.safetensors"}
    listed = [entry["identity"] for entry in facts["members"]]
    assert listed == [member.identity for member in outcome.members]
    for identity in listed:
        assert (run / "members" / identity / "model/model.safetensors").exists(), identity
    assert {entry["identity"] for entry in facts["members"] if entry["used"]}
    outputs = said(plugins, run, files[data])
    assert outputs.shape == (len(outputs), {"digits": 10, "diabetes": 1, "cancer": 1}[data])
    assert outputs.isfinite().all()


@pytest.mark.parametrize(("data", "name"), CASES)
def test_evaluate_gives_the_figures_of_the_summary(made, plugins, data, name):
    outcome = made(data, name)
    fitted = outcome.val is None  # to validation rows, so that they would be too good
    assert fitted is (name == "weighted")
    for part in ("train", "test") if fitted else ("train", "val", "test"):
        found = evaluate(outcome.run, split=part, plugins=plugins)
        assert found.metrics == pytest.approx(getattr(outcome, part), rel=1e-5)
        assert facts_of(outcome.run)[part] == dict(getattr(outcome, part))


def test_another_process_predicts_the_same_bits(made, plugins, files, tmp_path):
    wanted = {made(data, name).run: data for data, name in CASES}
    parts = {data: split(file, "test")[0].numpy() for data, file in files.items()}
    np.savez(tmp_path / "given.npz", **parts)
    subprocess.run(
        [sys.executable, "-W", "error", "-c", PREDICT, tmp_path / "given.npz", tmp_path / "found.npz"],
        input="\n".join(f"{data}={run}" for run, data in wanted.items()),
        text=True,
        check=True,
    )
    found = np.load(tmp_path / "found.npz")
    assert len(found.files) == len(CASES)
    for run, data in wanted.items():
        here = said(plugins, run, files[data]).numpy()
        assert here.tobytes() == found[str(run).replace("/", "|")].tobytes(), run


@pytest.mark.parametrize("name", ["voting", "bagging", "soup", "through", "adaboost", "snapshot", "tempered"])
def test_the_resolved_recipe_reruns_to_the_same_bits(made, plugins, name):
    first = made("digits", name)
    again = ensemble(first.run / "recipe.toml", runs=first.run.parent.parent, plugins=plugins)
    assert again.run != first.run
    assert model_bits(again.run) == model_bits(first.run)
    tables = [json.loads((run / "model/model.json").read_text()) for run in (first.run, again.run)]
    assert tables[0] == tables[1]
    assert dict(again.test) == dict(first.test)


@pytest.mark.parametrize("name", ["bagging", "through", "gradient_boosting", "snapshot"])
def test_a_member_is_a_run_of_its_own(made, plugins, name):
    outcome = made("digits", name)
    for member in outcome.members:
        if name == "through" and member.identity.startswith(("layer-2", "meta")):
            continue  # answers with what others say alone
        address = f"{outcome.run}@{member.identity}"
        found = evaluate(address, plugins=plugins)
        if member.figures:
            assert found.metrics == pytest.approx(dict(member.figures), rel=1e-5)
        assert found.spread is None


def test_members_of_several_layers_are_fed_what_the_layer_below_says(made, plugins, files):
    run = made("digits", "through").run
    x = split(files["digits"], "test")[0]
    model = load(run, plugins=plugins)
    parts = {identity: model.part(identity) for identity in model.wiring.everybody}
    assert set(parts) == {"member-0", "member-1", "layer-2-member-0", "layer-2-member-1", "meta"}

    def together(names, values):
        return torch.cat([torch.log_softmax(values[name], dim=1).exp() for name in names], dim=1)

    with torch.no_grad():
        values = {name: parts[name](x) for name in ("member-0", "member-1")}
        below = together(("member-0", "member-1"), values)
        values |= {name: parts[name](x, below) for name in ("layer-2-member-0", "layer-2-member-1")}
        by_hand = parts["meta"](x, together(("layer-2-member-0", "layer-2-member-1"), values))
        torch.testing.assert_close(model(x), by_hand, rtol=1e-5, atol=1e-6)


def test_a_stack_of_fold_models_feeds_the_mean_of_their_answers(made, plugins, files):
    run = made("digits", "average").run
    x = split(files["digits"], "test")[0]
    model = load(run, plugins=plugins)
    with torch.no_grad():
        answers = [
            sum(torch.softmax(model.part(f"member-{place}-fold-{fold}")(x), dim=1) for fold in (0, 1)) / 2
            for place in (0, 1)
        ]
        by_hand = model.part("meta")(torch.cat(answers, dim=1))
        torch.testing.assert_close(model(x), by_hand, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("data", "metric"), [("digits", "accuracy"), ("cancer", "accuracy"), ("diabetes", "loss")])
def test_what_is_said_out_of_bag_is_the_mean_of_the_bags_that_did_not_draw_a_row(made, plugins, files, data, metric):
    outcome = made(data, "bagging")
    x, y = split(files[data], "train")
    answers, voices = torch.zeros(len(y), 10 if data == "digits" else 1), torch.zeros(len(y), 1)
    for number in range(3):
        drawn = torch.randint(len(y), (len(y),), generator=stream(derive(0, "ensemble"), f"bag-{number}"))
        out = torch.ones(len(y), dtype=torch.bool)
        out[drawn] = False
        member = load(f"{outcome.run}@bag-{number}", plugins=plugins)
        answers[out] += member.probabilities(x[out])
        voices[out] += 1
    rows = (voices > 0).squeeze(1).nonzero().squeeze(1)
    mean = (answers / voices)[rows]
    with h5py.File(outcome.run / "oob.h5") as file:
        assert np.array_equal(file["rows"][:], rows.numpy())
        assert np.array_equal(file["target"][:].ravel(), y[rows.numpy()].ravel())
        values = file["outputs"] if data == "diabetes" else file["probabilities"]
        np.testing.assert_allclose(values[:], mean.numpy(), rtol=1e-4, atol=2e-6)
    truth = torch.from_numpy(y[rows.numpy()])
    if data == "diabetes":
        by_hand = ((mean - truth) ** 2).mean()
    else:
        guessed = mean.argmax(1) if data == "digits" else (mean[:, 0] > 0.5).long()
        by_hand = (guessed == truth.reshape(-1)).double().mean()
    assert outcome.unseen_kind == "out-of-bag"
    assert outcome.unseen[metric] == pytest.approx(float(by_hand), rel=1e-5)
    assert facts_of(outcome.run)["ensemble"]["unseen"]["figures"][metric] == outcome.unseen[metric]


def test_independent_members_enter_at_their_best_epoch(folder, plugins):
    slow = network(train={"epochs": 6, "optimizer": {"name": "adam", "lr": 0.1}})
    outcome = ensemble({**slow, "ensemble": {"members": 3}}, plugins=plugins)
    lines = [json.loads(line) for line in (outcome.run / "history.jsonl").read_text().splitlines()]
    epochs = set()
    for member in outcome.members:
        losses = [line["val_loss"] for line in lines if line["member"] == member.identity]
        assert member.epoch == 1 + int(np.argmin(losses))
        assert member.score == pytest.approx(min(losses), rel=1e-5)
        assert evaluate(f"small@{member.identity}", split="val", plugins=plugins).metrics["loss"] == pytest.approx(
            min(losses), rel=1e-5
        )
        epochs.add(member.epoch)
    assert epochs - {6}, "all were best at the end: the test proved nothing"


def test_a_member_is_what_its_seed_makes_of_it(folder, plugins, monkeypatch):
    """A member is trained as `dlcli train` trains: made to share its seed, it has the very same bits."""
    from dlcli.experiment import members

    real = members.derive
    monkeypatch.setattr(members, "derive", lambda seed, *names: real(seed, names[0], names[-1].split("-")[-1]))
    seeds = train(network(), seeds=3, plugins=plugins)
    outcome = ensemble(network(ensemble={"members": 3}), plugins=plugins)
    for number in range(3):
        first = load_file(seeds.run / f"members/seed-{number}/model/model.safetensors")
        second = load_file(outcome.run / f"members/member-{number}/model/model.safetensors")
        assert first.keys() == second.keys()
        assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    ("name", "epochs"),
    [("checkpoints", [2, 3, 4]), ("best", None), ("fast_geometric", [1, 2])],
)
def test_states_are_those_of_the_epochs_that_they_name(made, name, epochs):
    outcome = made("digits", name)
    states = [member for member in outcome.members if "-epoch-" in member.identity]
    if epochs is None:
        lines = [json.loads(line) for line in (outcome.run / "history.jsonl").read_text().splitlines()]
        epochs = sorted(1 + place for place in np.argsort([line["val_loss"] for line in lines])[:2])
    assert [member.epoch for member in states] == epochs
    for member in states:
        training, _, number = member.identity.partition("-epoch-")
        assert int(number) == member.epoch
        (kept,) = (outcome.run / "members" / training / "checkpoints").glob(f"epoch-{number}-*/network.safetensors")
        on_disk = load_file(kept)
        own = load_file(outcome.run / "members" / member.identity / "model/model.safetensors")
        assert all(torch.equal(own[f"network.{name}"], on_disk[name]) for name in on_disk)


def test_members_of_several_architectures(folder, plugins):
    members = [
        {"architecture": "mlp", "hidden": [8], "count": 2},
        {"architecture": "mlp", "hidden": [8, 8], "activation": "tanh"},
        {"architecture": "linear"},
    ]
    outcome = ensemble(network(ensemble={"strategy": "voting", "members": members}), plugins=plugins)
    assert len({member.parameters for member in outcome.members}) == 3
    model = load(outcome.run, plugins=plugins)
    x = split(DIGITS, "test")[0]
    parts = torch.stack([load(f"small@member-{n}", plugins=plugins).probabilities(x) for n in range(4)])
    torch.testing.assert_close(model.probabilities(x), parts.mean(0), rtol=1e-4, atol=1e-6)
    again = ensemble(outcome.run / "recipe.toml", plugins=plugins)
    assert model_bits(again.run) == model_bits(outcome.run)


def test_a_single_table_counts_too(folder, plugins):
    members = [{"architecture": "mlp", "hidden": [5]}]
    outcome = ensemble(network(ensemble={"strategy": "voting", "members": members}), plugins=plugins)
    assert [member.parameters for member in outcome.members] == [64 * 5 + 5 + 5 * 10 + 10]


def test_one_state_of_a_training_is_one_state(folder, plugins):
    outcome = ensemble(network(ensemble={"strategy": "checkpoints", "members": 1}), plugins=plugins)
    assert [member.identity for member in outcome.members] == ["network-epoch-0004"]


def test_train_and_validation_rows_together_leave_nothing_to_choose_an_epoch_by(folder, plugins):
    together = {"rows": "train+val", "monitor": "train_loss"}
    recipe = network(train=together, ensemble={"strategy": "voting", "members": 2})
    outcome = ensemble(recipe, plugins=plugins)
    assert outcome.val is None
    assert [member.epoch for member in outcome.members] == [4, 4]
    assert all(member.score is None for member in outcome.members)
    lines = [json.loads(line) for line in (outcome.run / "history.jsonl").read_text().splitlines()]
    assert not any("val_loss" in line for line in lines)
    assert facts_of(outcome.run)["trained_on"] == ["train", "val"]
    with pytest.raises(UsageError, match="was trained on the validation rows"):
        evaluate(outcome.run, split="val", plugins=plugins)


def test_an_averager_of_a_recipe_is_what_is_judged_and_kept(folder, plugins):
    averaged = {"averager": {"name": "ema", "decay": 0.9}, "epochs": 3}
    run = train(network(name="ema", train=averaged), plugins=plugins)
    plain = train(network(name="plain", train={"epochs": 3}), plugins=plugins)
    lines = [json.loads(line) for line in (run.run / "history.jsonl").read_text().splitlines()]
    best = min(lines, key=lambda line: line["val_loss"])
    assert run.selected_epoch == best["epoch"]
    assert evaluate("ema", split="val", plugins=plugins).metrics["loss"] == pytest.approx(best["val_loss"], rel=1e-6)
    model = load_file(run.run / "model/model.safetensors")
    (kept,) = (run.run / "checkpoints").glob(f"epoch-{best['epoch']:04d}-*/network.safetensors")
    assert all(torch.equal(tensor, model[f"network.{name}"]) for name, tensor in load_file(kept).items())
    assert abs(run.val["loss"] - plain.val["loss"]) > 1e-3
    outcome = ensemble(network(train=averaged, ensemble={"members": 2}), plugins=plugins)
    assert any("train one after the other: a stack keeps no averages of weights" in note for note in outcome.notes)
