import math
import shutil
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from dlcli.data.streamed_batches import make_batches
from dlcli.errors import RecipeError, TrainingError, UsageError
from dlcli.experiment.build import build
from dlcli.experiment.find_lr import EXPLODED, SETTLING, SMOOTHING, STEPS, RatePoint, doubts, find_lr, suggest
from dlcli.experiment.prepare import prepare
from dlcli.experiment.train import train
from dlcli.recipe.load import load_recipe
from dlcli.training.network import build_network

DIGITS = Path(__file__).parents[2] / "recipes/digits/digits.h5"
CPU = torch.device("cpu")


def test_a_training_after_it_is_the_same_to_the_bit(folder, plugins, recipe):
    model = {"architecture": "mlp", "hidden": [16], "dropout": 0.3}
    given = recipe(model=model, regularizers=[{"name": "l2"}])
    first = train(given, runs="before", plugins=plugins).run
    files, streams, threads = set(folder.rglob("*")), torch.random.get_rng_state(), torch.get_num_threads()
    assert find_lr(given, plugins=plugins).points
    assert set(folder.rglob("*")) == files
    assert torch.equal(torch.random.get_rng_state(), streams)
    assert torch.get_num_threads() == threads
    second = train(given, runs="after", plugins=plugins).run
    weights = [load_file(run / "model/model.safetensors") for run in (first, second)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0] | weights[1])
    lines = [(run / "history.jsonl").read_text().splitlines() for run in (first, second)]
    assert [line.partition('"seconds"')[0] for line in lines[0]] == [
        line.partition('"seconds"')[0] for line in lines[1]
    ]


@pytest.mark.parametrize("memory", ["1GB", "0"])
def test_it_takes_the_steps_of_a_hand_written_loop(folder, plugins, recipe, memory):
    """torch's SGD at rates that rise by one factor; with 6 batches an epoch, which are gone through again and again."""
    train_section = {"optimizer": {"name": "sgd", "momentum": 0.9, "weight_decay": 0.01}, "batch_size": 256}
    data = {"path": str(DIGITS), "preprocess": ["standardize"], "memory": memory}
    given = recipe(train=train_section, data=data)
    prepared = prepare(load_recipe(given, plugins.registry), plugins.registry)
    member = prepared.member
    batches = make_batches(prepared.dataset, CPU, [member.training_rows], prepared.recipe.seed)
    assert batches.steps(member) < 10
    network = build_network(member, CPU)
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0, momentum=0.9, weight_decay=0.01)
    expected = []
    for epoch in range(1, 50):
        for batch in batches.training(member, epoch):
            optimizer.param_groups[0]["lr"] = 1e-7 * 1e8 ** (len(expected) / (STEPS - 1))
            losses = torch.nn.functional.cross_entropy(network(*batch.inputs), batch.target, reduction="none")
            weight = torch.ones_like(losses) if batch.weight is None else batch.weight
            loss = (losses * weight).sum() / weight.sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            expected.append(loss.item())
    found = find_lr(given, plugins=plugins)
    losses = [point.loss for point in found.points]
    assert len(losses) > 60
    assert losses[:60] == pytest.approx(expected[:60], rel=1e-4)
    assert losses[0] == pytest.approx(build(given, plugins=plugins).loss_value)


def test_the_mean_is_corrected_for_its_start_and_the_test_ends_at_four_times_its_best(folder, plugins, recipe):
    found = find_lr(recipe(train={"optimizer": "lion"}), plugins=plugins)
    rates = [point.learning_rate for point in found.points]
    assert rates[0] == pytest.approx(1e-7)
    assert [later / earlier for earlier, later in pairwise(rates)] == pytest.approx(
        [1e8 ** (1 / 99)] * (len(rates) - 1)
    )
    for count in range(1, len(found.points) + 1):
        weights = SMOOTHING ** np.arange(count)[::-1]
        expected = np.average([point.loss for point in found.points[:count]], weights=weights)
        assert found.points[count - 1].smoothed_loss == pytest.approx(expected)
    means = [point.smoothed_loss for point in found.points]
    exploded = [mean > EXPLODED * min(means[: place + 1]) for place, mean in enumerate(means)]
    assert len(means) < STEPS
    assert exploded == [False] * (len(means) - 1) + [True]
    assert found.ended == f"the loss rose to 4 times its best at learning rate {rates[-1]:.3g}"


@pytest.mark.parametrize("optimizer", ["adagrad", "adam", "adamw", "lion", "nadam", "rmsprop", "sgd"])
def test_a_suggested_rate_trains_better_than_ones_far_from_it(folder, plugins, recipe, optimizer):
    found = find_lr(recipe(train={"optimizer": optimizer}), plugins=plugins)
    assert found.optimizer == optimizer
    assert found.minimum_tenth < found.steepest * 2 < 2.0

    def score(rate):
        section = {"optimizer": {"name": optimizer, "lr": rate}, "epochs": 2}
        return train(recipe(train=section), plugins=plugins).best_score

    suggested = score(found.minimum_tenth)
    assert suggested < score(found.minimum_tenth / 100)
    assert suggested < 1.5 < math.log(10)  # a guess


def test_training_rows_alone_are_looked_at(folder, plugins, recipe):
    shutil.copy(DIGITS, "other.h5")
    with h5py.File("other.h5", "r+") as file:
        for split in ("val", "test"):
            file[f"{split}/x"][...] = 7
    given = recipe(data={"path": "other.h5", "preprocess": ["standardize"]})
    assert find_lr(given, plugins=plugins).points == find_lr(recipe(), plugins=plugins).points


def test_of_several_networks_it_tests_the_first(folder, plugins, recipe):
    seeds = recipe(train={"seeds": 2, "optimizer": "adam"})
    folds = recipe(train={"kfold": 3, "optimizer": "adam"})
    points = [find_lr(each, plugins=plugins).points for each in (seeds, folds, recipe(train={"optimizer": "adam"}))]
    assert len({each[0].loss for each in points}) == 3


def test_the_schedule_and_the_recipes_rate_play_no_part(folder, plugins, recipe):
    plain = find_lr(recipe(train={"optimizer": {"name": "adam", "lr": 0.5}}), plugins=plugins)
    schedule = {"name": "cosine", "warmup_epochs": 2}
    scheduled = find_lr(recipe(train={"optimizer": {"name": "adam"}, "schedule": schedule}), plugins=plugins)
    assert plain.points == scheduled.points
    assert plain.learning_rate == 0.5


def test_it_starts_from_other_weights_and_freezes(folder, plugins, recipe):
    run = train(recipe(train={"epochs": 20}), plugins=plugins).run
    fresh, warm = find_lr(recipe(), plugins=plugins), find_lr(recipe(), start_from=run, plugins=plugins)
    assert warm.points[0].loss < 0.1 * fresh.points[0].loss
    assert "tensors taken" in warm.notes[0]
    frozen = find_lr(recipe(), start_from=run, freeze="blocks.*", plugins=plugins)
    assert frozen.points[0] == warm.points[0]
    assert frozen.points[-1] != warm.points[-1]


def curve(*losses):
    return [RatePoint(10.0 ** (place - 8), loss, loss) for place, loss in enumerate(losses)]


def test_suggestions_are_the_steepest_fall_and_the_lowest_place():
    settling = [9.0] * SETTLING
    found = suggest(curve(*settling, 8.0, 5.0, 4.0, 4.5, 1e3, 7.0))
    assert found == pytest.approx((10.0 ** (SETTLING + 1 - 8), 10.0 ** (SETTLING + 2 - 8)))


@pytest.mark.parametrize("losses", [[1.0] * 30, [1.0 + place for place in range(30)]])
def test_a_loss_that_never_falls_suggests_nothing(losses):
    assert suggest(curve(*losses)) == (None, None)


def test_what_falls_only_while_the_mean_settles_suggests_nothing():
    assert suggest(curve(*(9.0 - place for place in range(SETTLING)), *[2.0] * 5)) == (None, None)


@pytest.mark.parametrize(("fall", "doubtful"), [(0.0, True), (0.02, True), (1.0, False)])
def test_a_fall_within_what_batches_differ_by_is_doubted(fall, doubtful):
    generator = np.random.default_rng(0)
    points, mean = [], 0.0
    for place in range(STEPS):
        loss = 2.3 - fall * place / STEPS + generator.normal(0, 0.1)
        mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
        points.append(RatePoint(10.0 ** (place / 12 - 7), loss, mean / (1 - SMOOTHING ** (place + 1))))
    notes = doubts(points)
    assert len(notes) == doubtful
    assert not doubtful or "as by chance where batches differ by 0." in notes[0]


def test_targets_that_nothing_says_anything_of_are_doubted(folder, plugins, recipe):
    assert not find_lr(recipe(), plugins=plugins).notes
    shutil.copy(DIGITS, "shuffled.h5")
    with h5py.File("shuffled.h5", "r+") as file:
        file["train/y"][:] = np.random.default_rng(0).permutation(file["train/y"][:])
    given = recipe(data={"path": "shuffled.h5", "preprocess": ["standardize"]}, train={"batch_size": 8})
    (note,) = find_lr(given, plugins=plugins).notes
    assert "the rates say little; take larger batches" in note


@pytest.fixture
def hostile(folder):
    """A regression whose inputs or targets are of some size."""

    def make(inputs, targets):
        generator = np.random.default_rng(0)
        with h5py.File("hostile.h5", "w") as file:
            for split, rows in (("train", 64), ("val", 16)):
                file[f"{split}/x"] = (generator.normal(size=(rows, 3)) * inputs).astype("float32")
                file[f"{split}/y"] = (generator.normal(size=(rows, 1)) * targets).astype("float32")
        return {
            "name": "hostile",
            "data": {"path": "hostile.h5"},
            "model": {"architecture": "linear"},
            "train": {"optimizer": "sgd", "batch_size": 16},
        }

    return make


@pytest.mark.parametrize(
    ("inputs", "targets", "match"),
    [
        (
            1.0,
            1e25,
            r"ended on the first batch, before any step, too early .*: the loss became inf at learning rate 1e-07",
        ),
        (1e5, 1.0, r"ended in step \d+, too early to suggest a rate: the loss (became|rose)"),
    ],
)
def test_what_diverges_at_once_says_so(hostile, plugins, inputs, targets, match):
    with pytest.raises(TrainingError, match=match) as caught:
        find_lr(hostile(inputs, targets), plugins=plugins)
    assert 'preprocess = ["standardize"]' in str(caught.value)


def test_a_loss_that_is_not_finite_later_ends_it(hostile, plugins):
    found = find_lr(hostile(1e2, 1e15), plugins=plugins)
    assert SETTLING < len(found.points) < STEPS
    assert all(math.isfinite(point.loss) for point in found.points)
    assert found.ended


@pytest.mark.parametrize("target", [".", "no/such.svg"])
def test_where_no_picture_can_be_left_is_said_first(folder, plugins, recipe, target):
    with pytest.raises(UsageError, match=r"--svg"):
        find_lr({}, svg=Path(target), plugins=plugins)


def test_a_wrong_recipe_is_told_as_everywhere(folder, plugins, recipe):
    with pytest.raises(RecipeError, match="train.epochs"):
        find_lr(recipe(), overrides=["train.epochs=0"], plugins=plugins)
