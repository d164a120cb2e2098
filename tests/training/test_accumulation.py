"""Several batches a step: to float tolerance what one batch of all their rows gives."""

from dataclasses import replace

import pytest
import torch
from engines import CPU, Silent, same_bits, train
from torch.nn import functional as F

from dlcli.contracts.batch import Batch
from dlcli.contracts.switches import Switches
from dlcli.errors import Interrupted, UsageError
from dlcli.training.accumulation import step_batches
from dlcli.training.network import build_network
from dlcli.training.objective import batch_weight, weighted_sum
from dlcli.training.switched_step import make_step


@pytest.fixture
def plain(member, registry):
    """A member without normalization over rows, which alone would tell four batches from one."""

    def make(batch_size, accumulate=1, **changes):
        given = {
            "architecture": registry.create("architecture", "mlp", hidden=[16], norm="none"),
            "optimizer": registry.create("optimizer", "sgd", lr=0.05),
            "epochs": 3,
            "select": "last",
        }
        return member(batch_size=batch_size, switches=Switches(accumulate=accumulate), **{**given, **changes})

    return make


REGULARIZED = {
    "none": (),
    "penalty": (("l2", {"strength": 0.05}),),
    "activity": (("activity_l1", {"strength": 0.1}),),
    "gradients": (("clip_gradients", {"max_norm": 0.05}), ("max_norm", {"max_norm": 0.8})),
}


@pytest.mark.parametrize("kind", REGULARIZED)
def test_it_equals_one_batch_of_all_rows(kind, plain, batches, registry, tmp_path):
    """450 rows are 8 steps of 4 × 16, the last of one batch, itself of 2 rows; no two batches weigh alike."""
    generator = torch.Generator().manual_seed(0)
    changes = {
        "regularizers": tuple(registry.create("regularizer", name, **given) for name, given in REGULARIZED[kind]),
        "row_weights": torch.rand(600, generator=generator) * torch.randint(0, 3, (600,), generator=generator),
        "loss": registry.create("loss", "cross_entropy", class_weights=[0.1, 5.0, *[1.0] * 8]),
    }
    many, one = (
        train([plain(*size, **changes)], batches, tmp_path / str(size[0]), "loop")[0] for size in ((16, 4), (64,))
    )
    assert [r.learning_rate for r in many.history.records] == [r.learning_rate for r in one.history.records]
    for name, tensor in one.state.items():
        torch.testing.assert_close(many.state[name], tensor, rtol=1e-4, atol=2e-6)
    for first, second in zip(many.history.records, one.history.records, strict=True):
        assert first.values == pytest.approx(second.values, rel=1e-4)


def test_a_step_is_the_weighted_mean_over_all_rows_by_hand(plain, registry):
    own = plain(4, 3, loss=registry.create("loss", "cross_entropy", class_weights=[0.1, 5.0, *[1.0] * 8]))
    generator = torch.Generator().manual_seed(1)
    x, y = torch.randn(12, 64, generator=generator), torch.tensor([0, 0, 0, 0, 1, 1, 1, 1, 2, 3, 4, 5])
    network, oracle = build_network(own, CPU), build_network(own, CPU)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    parts = [Batch((x[i : i + 4],), y[i : i + 4]) for i in (0, 4, 8)]
    loss = make_step(own, network, optimizer, CPU)(parts)
    weight = torch.tensor([0.1, 5.0, *[1.0] * 8])
    expected = F.cross_entropy(oracle(x), y, weight=weight)
    expected.backward()
    torch.testing.assert_close(loss, expected.detach())
    means = torch.stack([F.cross_entropy(oracle(x[i : i + 4]), y[i : i + 4], weight=weight) for i in (0, 4, 8)])
    assert abs(float(means.detach().mean()) - float(loss)) > 0.01
    for own_parameter, other in zip(network.parameters(), oracle.parameters(), strict=True):
        torch.testing.assert_close(own_parameter.grad, other.grad, rtol=1e-4, atol=1e-6)


def test_mixed_targets_weigh_what_their_shares_say(plain, registry):
    """Drawn in batches, mixed in batches: the loss is still the sum over all of w ℓ, over the sum of w."""
    mixup = registry.create("regularizer", "mixup", alpha=1.0)
    loss = registry.create("loss", "cross_entropy", class_weights=[0.1, 5.0, *[1.0] * 8])
    own = plain(4, 2, loss=loss, regularizers=(mixup,))
    generator = torch.Generator().manual_seed(2)
    x, y = torch.randn(8, 64, generator=generator), torch.tensor([0, 1, 0, 2, 1, 1, 3, 0])
    parts = [Batch((x[i : i + 4],), y[i : i + 4]) for i in (0, 4)]
    network = build_network(own, CPU)
    before = build_network(own, CPU)
    step = make_step(own, network, torch.optim.SGD(network.parameters(), lr=0.1), CPU)
    step.start_epoch(1)
    found = step(parts)
    stream = step._regularization.streams(own.seed, 1, CPU)
    total = weight = torch.zeros(())
    for part in parts:
        noises = step._regularization.draw(own.regularizers, stream, part.inputs, {})
        mixed = step._regularization.changed_batch(own.regularizers, part, noises)
        values = [F.cross_entropy(before(*mixed.inputs), target, reduction="none") for target in mixed.targets]
        weights = [loss.weights(target) for target in mixed.targets]
        shares = (mixed.weight, 1 - mixed.weight)
        total = total + sum((s * w * v).sum() for s, w, v in zip(shares, weights, values, strict=True))
        weight = weight + sum((s * w).sum() for s, w in zip(shares, weights, strict=True))
    torch.testing.assert_close(found, (total / weight).detach())


def test_weights_are_known_before_outputs_are(registry):
    loss = registry.create("loss", "cross_entropy")
    generator = torch.Generator().manual_seed(3)
    target = torch.randint(5, (3, 7), generator=generator)
    output = torch.randn(3, 7, 5, generator=generator)
    weight = torch.tensor([1.0, 0.0, 2.5])
    batch = Batch((output,), target, weight, lengths=torch.tensor([7, 2, 3]))
    assert float(batch_weight(loss, (target,), None, batch, per_position=True)) == 7 + 3 * 2.5
    torch.testing.assert_close(
        batch_weight(loss, (target,), None, batch, per_position=True), weighted_sum(loss, output, target, batch)[1]
    )


def test_batches_are_put_together_by_steps():
    assert list(step_batches([1, 2, 3, 4, 5], 2)) == [[1, 2], [3, 4], [5]]
    assert list(step_batches([1, 2], 1)) == [1, 2]


def test_steps_are_optimizer_steps(plain, batches, recorder, registry, tmp_path):
    """450 rows in batches of 64 are 8, four steps of two: what the schedule counts, and the watch is told."""
    halving = registry.create("schedule", "step", step_epochs=1, multiplier=0.5)
    watch = recorder()
    own = plain(64, 2, schedule=halving)
    assert own.horizon(8).steps_per_epoch == 4
    train([own], batches, tmp_path, "loop", watch=watch)
    assert watch.rates == pytest.approx([0.05] * 4 + [0.025] * 4 + [0.0125] * 4)


def test_it_resumes_to_the_same_bits(plain, batches, registry, tmp_path):
    dropping = registry.create("architecture", "mlp", hidden=[16], norm="batch", dropout=0.3)
    own = plain(32, 3, architecture=dropping, regularizers=(registry.create("regularizer", "input_noise"),))
    whole = train([own], batches, tmp_path / "whole", "loop")
    with pytest.raises(Interrupted):
        train([own], batches, tmp_path / "cut", "loop", watch=Silent(stop_after=1), seconds=0)
    same_bits(whole, train([own], batches, tmp_path / "cut", "loop", resume=True))


@pytest.mark.parametrize(
    ("switches", "cause"),
    [
        (Switches(accumulate=2), r"a stack takes a step on each batch \(train.accumulate = 2\)"),
        (Switches(precision="bfloat16"), r"a stack computes in float32 \(train.precision = 'bfloat16'\)"),
        (Switches(activation_checkpointing=True), "a stack keeps all activations"),
        (Switches(compile=True), "a stack is captured in its own way"),
    ],
)
def test_a_stack_refuses_what_only_the_loop_can(switches, cause, plain, batches, tmp_path):
    members = [
        replace(plain(64, epochs=1), identity=name, seed=seed, switches=switches) for seed, name in enumerate("abc")
    ]
    with pytest.raises(UsageError, match=f"--engine vectorized: {cause}; take auto or loop|{cause}"):
        train(members, batches, tmp_path / "stack", "vectorized")
    if not switches.compile:
        watch = Silent()
        train(members, batches, tmp_path / "auto", "auto", watch=watch)
        told = [note for note in watch.notes if "train one after the other" in note]
        assert len(told) == 1
        assert told[0].startswith("a, b, c train one after the other: a stack")
