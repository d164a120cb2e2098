"""What reaches a step through regularizers: only rows that count, and only what they are made for."""

from dataclasses import replace
from typing import ClassVar

import pytest
import torch
from engines import CPU, train

from dlcli import Regularizer
from dlcli.contracts.batch import Batch
from dlcli.contracts.field import Field
from dlcli.data.batches import InMemoryBatches
from dlcli.data.preprocessing import fit_preprocessing, input_output
from dlcli.errors import UsageError
from dlcli.training.network import build_network
from dlcli.training.objective import batch_loss
from dlcli.training.regularization import Regularization

MIXING = {"mixup": {"alpha": 1.0}, "cutmix": {}, "input_noise": {}, "cutout": {}, "activity_l1": {"strength": 0.1}}


@pytest.fixture
def images(dataset):
    fields = {**dataset.fields, "x": Field("x", "input", "image", (1, 8, 8), "uint8")}
    return replace(dataset, fields=fields, tensors={**dataset.tensors, "x": dataset.tensors["x"].view(-1, 1, 8, 8)})


@pytest.fixture
def of_images(member, images, registry):
    """A member without normalization over rows, whose preprocessing is fitted on its first rows."""

    def make(name, **changes):
        steps = (registry.create("preprocessor", "standardize"),)
        return member(
            io=input_output(images, steps),
            architecture=registry.create("architecture", "mlp", hidden=[16], norm="none"),
            preprocessing=fit_preprocessing(images, steps, torch.arange(100)),
            regularizers=(registry.create("regularizer", name, **MIXING[name]),),
            **{"epochs": 2, "select": "last", **changes},
        )

    return make


@pytest.mark.parametrize("engine", ["loop", "vectorized"])
@pytest.mark.parametrize("name", MIXING)
def test_nothing_is_learnt_from_rows_that_weigh_nothing(name, engine, of_images, images, tmp_path):
    """As a fold on a stream holds rows out, and a bootstrap those that it did not draw."""
    rows = torch.arange(100)
    weights = (torch.arange(600) % 3).float()
    held_out = weights == 0
    tensors = {field: tensor.clone() for field, tensor in images.tensors.items()}
    tensors["x"][:100][held_out[:100]] = 255
    tensors["y"][:100][held_out[:100]] = 0
    members = [
        of_images(name, identity=identity, seed=seed, training_rows=rows, row_weights=weights, batch_size=32)
        for seed, identity in enumerate("ab")
    ]
    first, second = (
        train(members, InMemoryBatches(replace(images, tensors=own), CPU), tmp_path / place, engine)
        for place, own in (("one", images.tensors), ("other", tensors))
    )
    for one, other in zip(first, second, strict=True):
        assert [record.values["train_loss"] for record in one.history.records] == [
            record.values["train_loss"] for record in other.history.records
        ]
        assert all(torch.equal(one.state[key], other.state[key]) for key in one.state)


@pytest.mark.parametrize("engine", ["loop", "vectorized"])
def test_filler_has_no_activity(engine, of_images, images, registry, tmp_path):
    sgd = registry.create("optimizer", "sgd", lr=0.1)
    batches = InMemoryBatches(images, CPU)
    full, filled = (
        train(
            [
                of_images("activity_l1", identity=i, training_rows=torch.arange(5), batch_size=size, optimizer=sgd)
                for i in "ab"
            ],
            batches,
            tmp_path / str(size),
            engine,
        )
        for size in (5, 8)
    )
    for key, tensor in full[0].state.items():
        torch.testing.assert_close(tensor, filled[0].state[key], rtol=1e-5, atol=1e-6)


def test_activity_joins_the_loss_by_row_weights(member, registry):
    own = member(
        architecture=registry.create("architecture", "mlp", hidden=[16, 8], norm="none"),
        regularizers=(registry.create("regularizer", "activity_l1", strength=0.25),),
    )
    network = build_network(own, CPU)
    regularization = Regularization(own.regularizers, network, ("x",))
    assert regularization.watched == [("blocks.0.activation", "blocks.1.activation")]
    batch = Batch((torch.randn(3, 64),), torch.tensor([1, 2, 3]), torch.tensor([1.0, 3.0, 0.0]))
    loss, objective = regularization.objective(
        own.regularizers, own.loss, dict(network.named_parameters()), lambda x, _: network(*x), batch, {}
    )
    first = network.blocks[0](batch.inputs[0])
    size = first.abs().sum(1) + network.blocks[1](first).abs().sum(1)
    torch.testing.assert_close(objective - loss, 0.25 * (size[0] + 3 * size[1]) / 4)


def test_a_row_that_counts_nothing_may_hold_anything_in_a_mixed_loss(registry):
    loss = registry.create("loss", "mse")
    output = torch.tensor([[1.0], [3.0], [torch.inf]])
    targets = (torch.tensor([[0.0], [0.0], [torch.nan]]), torch.tensor([[2.0], [1.0], [0.0]]))
    batch = Batch((), targets[0], torch.tensor([1.0, 3.0, 0.0]))
    mixed = batch_loss(loss, output, targets, torch.tensor(0.25), batch)
    torch.testing.assert_close(mixed, torch.tensor((0.25 * 1 + 0.75 * 1 + 3 * (0.25 * 9 + 0.75 * 4)) / 4))


def test_modules_that_are_not_there_are_told(member, registry):
    own = member(architecture=registry.create("architecture", "logistic"))
    activity = registry.create("regularizer", "activity_l1")
    with pytest.raises(
        UsageError, match=r"activity_l1 works on outputs of modules named \*activation, but the network"
    ):
        Regularization((activity,), build_network(own, CPU), ("x",))


class Turned(Regularizer):
    """Leaves gradients what they are, in memory of another order."""

    name: ClassVar[str] = "turned"

    def gradients(self, gradients, parameters):
        return {name: gradient.mT.contiguous().mT for name, gradient in gradients.items()}


@pytest.mark.parametrize("engine", ["loop", "vectorized"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rmsprop"])
def test_the_order_of_a_gradient_in_memory_decides_nothing(optimizer, engine, member, batches, registry, tmp_path):
    members = [
        member(identity=name, seed=seed, epochs=1, optimizer=registry.create("optimizer", optimizer, lr=1e-2))
        for seed, name in enumerate("ab")
    ]
    turned = [replace(each, regularizers=(Turned(),)) for each in members]
    plain = train(members, batches, tmp_path / "plain", engine)
    for one, other in zip(train(turned, batches, tmp_path / "turned", engine), plain, strict=True):
        for name, tensor in one.state.items():
            torch.testing.assert_close(tensor, other.state[name], rtol=1e-5, atol=1e-6)
