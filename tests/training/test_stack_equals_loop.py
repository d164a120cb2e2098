"""The vectorized engine trains what the loop engine trains: architectures with optimizers and with regularizers."""

from dataclasses import replace

import pytest
import torch
from engines import CPU, Double, float64, train

from dlcli.contracts.dataset import Dataset
from dlcli.contracts.field import Field
from dlcli.contracts.member import Member
from dlcli.contracts.randomness import derive
from dlcli.contracts.task import Task
from dlcli.data.batches import InMemoryBatches
from dlcli.data.preprocessing import fit_preprocessing, input_output
from dlcli.plugins import load_plugins

REGISTRY = load_plugins(third_parties=False).registry
NAMES = {
    kind: [entry.name for entry in REGISTRY.entries(kind)]
    for kind in ("architecture", "optimizer", "regularizer", "activation", "normalization")
}
SIGN_BASED = {"lion"}
"""Optimizers whose step is a sign, so that rounding decides: compared after one step."""
RATES = {"sgd": 3e-2}
MEMBERS = 3
SMALL = {
    "mlp": {"hidden": [16, 12]},
    "cnn": {"channels": [4, 6], "hidden": [10]},
    "resnet": {"depth": None, "blocks": [1, 1], "width": 4},
    "transformer": {"width": 8, "heads": 2, "layers": 1},
}
SEQUENCES = {"rnn", "lstm", "gru", "transformer"}
"""Architectures that read no images; all but the transformer are torch's modules, which no stack can compute."""


@pytest.fixture(scope="module")
def images(dataset: Dataset) -> Dataset:
    fields = {**dataset.fields, "x": Field("x", "input", "image", (1, 8, 8), "uint8")}
    return replace(dataset, fields=fields, tensors={**dataset.tensors, "x": dataset.tensors["x"].view(-1, 1, 8, 8)})


@pytest.fixture(scope="module")
def population(images):
    """Members that differ in everything that may differ within a stack."""
    standardize = REGISTRY.create("preprocessor", "standardize")

    def make(architecture, optimizer, regularizer, *, epochs=10, rows=320, **changes):
        found = []
        for i in range(MEMBERS):
            own_rows = torch.randperm(450, generator=torch.Generator().manual_seed(i))[: rows - i]
            regularizers = []
            if regularizer is not None:
                component = REGISTRY.create("regularizer", regularizer)
                numbers = {path: number * (i + 1) for path, number in component.per_member().items()}
                regularizers = [component.with_per_member(numbers)]
                if regularizer in ("early_stopping", "gap_stopping"):
                    regularizers = [REGISTRY.create("regularizer", regularizer, patience=2 + i)]
            schedules = ("constant", {"name": "cosine", "warmup_epochs": 2}, {"name": "step", "step_epochs": 3})
            found.append(
                dict(
                    identity=f"member-{i}",
                    seed=derive(5, "member", i),
                    architecture=architecture,
                    io=input_output(images, (standardize,)),
                    loss=REGISTRY.create("loss", "cross_entropy"),
                    optimizer=REGISTRY.create(
                        "optimizer",
                        optimizer,
                        lr=(3e-2 if optimizer == "sgd" else 2e-3) * (1 + i),
                        weight_decay=0.01 * i,
                    ),
                    schedule=REGISTRY.resolve("schedule", schedules[i]),
                    training_rows=own_rows,
                    validation_rows=torch.arange(450, 590 + i),
                    epochs=epochs,
                    batch_size=64,
                    metrics={n: REGISTRY.create("metric", n) for n in ("accuracy", "ece")},
                    preprocessing=fit_preprocessing(images, (standardize,), own_rows),
                    regularizers=tuple(regularizers),
                    row_weights=torch.linspace(0.5, 1.5, 600).roll(i),
                    select="last",
                )
                | changes
            )
        return [Member(**own) for own in found]

    return make


def architecture(name, **parameters):
    return REGISTRY.create("architecture", name, **{**SMALL.get(name, {}), **parameters})


# An optimizer and a regularizer see tensors, whatever network they are of: every optimizer trains an mlp, regularizers
# train a cnn and an mlp in turn, and every architecture has two optimizers. All with all would be a thousand.
STACKING = [name for name in NAMES["architecture"] if name not in SEQUENCES]
PAIRS = [(a, None) for a in STACKING] + [(("cnn", "mlp")[i % 2], r) for i, r in enumerate(NAMES["regularizer"])]
OPTIMIZED = [(a, o) for a in STACKING for o in NAMES["optimizer"] if a == "mlp" or o in ("sgd", "adam")]
CASES = [(a, o, None) for a, o in OPTIMIZED] + [(a, "adam", r) for a, r in PAIRS if r is not None]


@pytest.mark.parametrize(("name", "optimizer", "regularizer"), CASES)
def test_float64_agrees_to_1e_8_after_50_steps(name, optimizer, regularizer, population, images, tmp_path):
    epochs = 1 if optimizer in SIGN_BASED else 10
    members = population(architecture(name), optimizer, regularizer, epochs=epochs)
    batches = Double(InMemoryBatches(images, CPU))
    with float64():
        together = train(members, batches, tmp_path / "together", "vectorized")
        alone = train(members, batches, tmp_path / "alone", "loop")
    compare(together, alone, 1e-8)
    if regularizer in ("early_stopping", "gap_stopping"):
        assert [r.stopped for r in together] == [r.stopped for r in alone]
    else:
        assert all(r.epochs == epochs for r in together)


@pytest.mark.parametrize("parameters", [{}, {"causal": True, "pool": "last", "dropout": 0.2, "stochastic_depth": 0.3}])
def test_transformers_agree_too(parameters, population, images, tmp_path):
    series = Field("x", "input", "sequence", (8, 8), "float32")
    rows = images.tensors["x"].view(-1, 8, 8).float() / 16
    other = replace(images, fields={**images.fields, "x": series}, tensors={**images.tensors, "x": rows})
    changes = {"io": input_output(other, ()), "preprocessing": {}}
    members = population(architecture("transformer", **parameters), "adam", "l2", epochs=2, **changes)
    batches = Double(InMemoryBatches(other, CPU))
    with float64():
        together = train(members, batches, tmp_path / "together", "vectorized")
        alone = train(members, batches, tmp_path / "alone", "loop")
    compare(together, alone, 1e-8)


GROUPS = {"name": "group", "groups": 2}
NORMS = [("mlp", norm) for norm in NAMES["normalization"] if norm != "instance"]
"""Every normalization where it makes sense."""


@pytest.mark.parametrize(("name", "norm"), [*NORMS, *(("cnn", norm) for norm in NAMES["normalization"])])
def test_norms_and_momentum_agree_too(name, norm, population, images, tmp_path):
    changes = {"hidden": []} if (name, norm) == ("cnn", "instance") else {}
    norm = GROUPS if norm == "group" else norm
    members = population(architecture(name, norm=norm, activation="tanh", **changes), "sgd", "clip_gradients")
    momentum = REGISTRY.create("optimizer", "sgd", lr=0.02, momentum=0.9, nesterov=True, weight_decay=1e-3)
    members = [replace(member, optimizer=momentum) for member in members]
    batches = Double(InMemoryBatches(images, CPU))
    with float64():
        together = train(members, batches, tmp_path / "together", "vectorized")
        alone = train(members, batches, tmp_path / "alone", "loop")
    compare(together, alone, 1e-8)


LEARNED = [{"name": "prelu", "slopes": "feature"}, {"name": "swish", "learned": True}, {"name": "maxout", "pieces": 3}]


@pytest.mark.parametrize(
    ("name", "activation"),
    [*(("mlp", each) for each in NAMES["activation"]), *(("cnn", each) for each in (*LEARNED, "rrelu", "glu"))],
)
def test_activations_agree_too(name, activation, population, images, tmp_path):
    members = population(architecture(name, activation=activation, dropout=0.2), "adam", "l2", epochs=2)
    batches = Double(InMemoryBatches(images, CPU))
    with float64():
        together = train(members, batches, tmp_path / "together", "vectorized")
        alone = train(members, batches, tmp_path / "alone", "loop")
    compare(together, alone, 1e-8)


def compare(together, alone, tolerance):
    for one, other in zip(together, alone, strict=True):
        assert (one.epochs, one.best_epoch) == (other.epochs, other.best_epoch)
        assert one.state.keys() == other.state.keys()
        for key, tensor in one.state.items():
            torch.testing.assert_close(tensor, other.state[key], rtol=0, atol=tolerance)
        for mine, theirs in zip(one.history.records, other.history.records, strict=True):
            assert mine.learning_rate == theirs.learning_rate
            assert mine.values == pytest.approx(theirs.values, abs=tolerance)


@pytest.mark.parametrize(("name", "regularizer"), PAIRS)
def test_float32_first_gradients_agree_to_1e_5(name, regularizer, population, images, tmp_path):
    # One step of plain gradient descent at rate 1 moves parameters by the gradient.
    rate = REGISTRY.create("optimizer", "sgd", lr=1.0)
    constant = REGISTRY.create("schedule", "constant")
    members = [
        replace(member, optimizer=rate, schedule=constant)
        for member in population(architecture(name), "sgd", regularizer, epochs=1, rows=64)
    ]
    batches = InMemoryBatches(images, CPU)
    together = train(members, batches, tmp_path / "together", "vectorized")
    alone = train(members, batches, tmp_path / "alone", "loop")
    for one, other in zip(together, alone, strict=True):
        for key, tensor in one.state.items():
            torch.testing.assert_close(tensor, other.state[key], rtol=0, atol=1e-5)


@pytest.mark.parametrize(("name", "optimizer"), [(a, o) for a, o in OPTIMIZED if a in ("mlp", "resnet")])
def test_float32_validation_loss_agrees_to_one_percent(name, optimizer, population, images, tmp_path):
    members = population(architecture(name), optimizer, None)
    batches = InMemoryBatches(images, CPU)
    together = train(members, batches, tmp_path / "together", "vectorized")
    alone = train(members, batches, tmp_path / "alone", "loop")
    for one, other in zip(together, alone, strict=True):
        assert one.epochs == other.epochs
        assert one.history.scores[-1] == pytest.approx(other.history.scores[-1], rel=0.01)


@pytest.mark.parametrize("regularizer", [None, "activity_l1"])
def test_dropout_agrees_since_masks_are_the_same_bits(regularizer, population, images, tmp_path):
    members = [
        replace(member, architecture=architecture("mlp", dropout=rate))
        for member, rate in zip(population(architecture("mlp"), "adam", regularizer), (0.0, 0.2, 0.5), strict=True)
    ]
    batches = Double(InMemoryBatches(images, CPU))
    with float64():
        together = train(members, batches, tmp_path / "together", "vectorized")
        alone = train(members, batches, tmp_path / "alone", "loop")
    compare(together, alone, 1e-8)


@pytest.mark.parametrize(
    ("task", "loss", "parameters", "metrics"),
    [
        ("regression", "mse", {}, ("rmse", "r2", "mae")),
        ("regression", "huber", {}, ("mse",)),
        ("regression", "epsilon_insensitive", {}, ()),
        ("regression", "quantile", {"level": 0.2}, ()),
        ("binary", "binary_cross_entropy", {}, ("accuracy", "nll", "brier")),
        ("binary", "binary_cross_entropy", {"class_weights": [1.0, 3.0]}, ("f1", "auroc", "average_precision")),
        ("binary", "focal", {"alpha": 0.3}, ("precision", "recall")),
        ("binary", "hinge", {}, ()),
        ("multiclass", "cross_entropy", {"class_weights": [1.0] * 9 + [5.0], "label_smoothing": 0.1}, ("f1", "auroc")),
        ("multiclass", "focal", {}, ("top_k", "perplexity", "average_precision")),
        ("multiclass", "squared_hinge", {}, ()),
    ],
)
def test_every_loss_and_metric_agrees(task, loss, parameters, metrics, population, images, tmp_path):
    odd = (images.tensors["y"] % 2).float().unsqueeze(1)
    target = Field("y", "target", "features", (1,), "float32", classes=("even", "odd") if task == "binary" else ())
    fields, tensors = {**images.fields, "y": target}, {**images.tensors, "y": odd}
    other = images if task == "multiclass" else replace(images, fields=fields, tensors=tensors, task=Task(task))
    io = input_output(other, (REGISTRY.create("preprocessor", "standardize"),))
    changes = {
        "io": io,
        "metrics": {name: REGISTRY.create("metric", name) for name in metrics},
    }
    made = REGISTRY.create("loss", loss, **parameters)
    numbers = made.per_member().items()
    members = [
        replace(member, loss=made.with_per_member({path: number * (1 + i) for path, number in numbers}))
        for i, member in enumerate(population(architecture("mlp"), "adam", "l2", **changes))
    ]
    batches = Double(InMemoryBatches(other, CPU))
    with float64():
        together = train(members, batches, tmp_path / "together", "vectorized")
        alone = train(members, batches, tmp_path / "alone", "loop")
    compare(together, alone, 1e-8)
