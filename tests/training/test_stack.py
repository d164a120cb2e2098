"""Stacks: bits whatever the companions, bits after a resume, members that leave, and those that cannot join."""

from dataclasses import replace
from typing import ClassVar

import pytest
import torch
from engines import CPU, Double, Silent, float64, same_bits, train
from torch import nn

from dlcli.contracts.architecture import Architecture
from dlcli.contracts.component import PerMember
from dlcli.contracts.member import Halving, Keep
from dlcli.contracts.metric import Metric
from dlcli.contracts.optimizer import Optimizer
from dlcli.contracts.randomness import derive, stream
from dlcli.contracts.schedule import Schedule
from dlcli.contracts.task import Task
from dlcli.data.batches import InMemoryBatches
from dlcli.errors import Interrupted, UsageError
from dlcli.layers.dropout import random_bits
from dlcli.training import population as population_room
from dlcli.training.fit import worse_half
from dlcli.training.masks import MaskPlan
from dlcli.training.network import build_network
from dlcli.training.population import make_plan, read_plan, structure
from dlcli.training.progress import Progress
from dlcli.training.stacked_network import StackedNetwork


@pytest.fixture
def members(member, registry):
    """Five members that stop at different times."""

    base = member(epochs=9)

    def stopping(patience, min_delta):
        return registry.create("regularizer", "early_stopping", patience=patience, min_delta=min_delta)

    def make(count=5, **changes):
        return [
            replace(
                base,
                identity=f"seed-{i}",
                seed=derive(3, "member", i),
                optimizer=registry.create("optimizer", "adam", lr=2e-3 * (i + 1)),
                regularizers=(
                    registry.create(
                        "regularizer", "early_stopping", patience=2 + i % 3, min_delta=10.0 if i < 3 else 0.0
                    ),
                ),
                **changes,
            )
            for i in range(count)
        ]

    return make


def test_initial_values_are_those_of_the_member_alone(members):
    stacked = StackedNetwork(members(), CPU)
    for place, own in enumerate(members()):
        alone = build_network(own, CPU).state_dict()
        assert all(torch.equal(tensor[place], alone[name]) for name, tensor in stacked.state.items())


def test_batches_are_those_of_the_member_alone(members, batches, dataset):
    own = [
        replace(m, training_rows=torch.arange(i, 440 + i), row_weights=torch.rand(600)) for i, m in enumerate(members())
    ]
    for epoch in (1, 2):
        stacked = list(batches.stacked_training(own, epoch))
        for place, each in enumerate(own):
            alone = list(batches.training(each, epoch))
            assert len(alone) == len(stacked)
            for mine, theirs in zip(alone, stacked, strict=True):
                assert torch.equal(mine.inputs[0], theirs.inputs[0][place])
                assert torch.equal(mine.target, theirs.target[place])
                assert torch.equal(mine.weight, theirs.weight[place])


def test_batches_of_members_with_states_of_their_own(members, batches, dataset, registry):
    from dlcli.data.preprocessing import fit_preprocessing

    standardize = registry.create("preprocessor", "standardize")
    own = [
        replace(m, preprocessing=fit_preprocessing(dataset, (standardize,), torch.arange(20 * i, 300)))
        for i, m in enumerate(members())
    ]
    stacked = next(iter(batches.stacked_training(own, 1)))
    for place, each in enumerate(own):
        assert torch.equal(next(iter(batches.training(each, 1))).inputs[0], stacked.inputs[0][place])
    rows = batches.stacked_evaluation(own, [torch.arange(450, 600 - i) for i in range(5)])
    assert not rows.shared
    batch, counts = next(rows.batches)
    assert counts == [150, 149, 148, 147, 146]
    assert batch.weight.sum(dim=1).tolist() == counts
    assert batches.stacked_evaluation(members(), [torch.arange(450, 600)] * 5).shared


@pytest.mark.parametrize("companions", [[0], [0, 1], [4, 0, 2]])
def test_masks_are_those_of_the_member_alone(members, companions):
    own = members()
    plan = MaskPlan()
    for shape in ((64, 7), (64, 5)):
        plan.record(torch.Size(shape), CPU)
    stacked = list(plan.draw([own[i] for i in companions], 2, 3, CPU))
    generator = stream(own[0].seed, "dropout", 2, CPU)
    for step in stacked:
        source = plan.replay(step[companions.index(0)])
        for shape in ((64, 7), (64, 5)):
            assert torch.equal(source(torch.Size(shape), CPU), random_bits(torch.Size(shape), CPU, generator))


def test_masks_keep_their_rate_in_every_lane(members):
    plan = MaskPlan()
    plan.record(torch.Size((64, 128)), CPU)
    bits = torch.stack(list(plan.draw(members(), 1, 40, CPU))).view(-1, 4)
    dropped = (bits < -(2**15) + round(0.3 * 2**16)).double().mean(dim=0)
    assert dropped.tolist() == pytest.approx([0.3] * 4, abs=0.003)


@pytest.mark.parametrize("model", [{"hidden": [16], "norm": "batch", "dropout": 0.2}, {"hidden": [16, 8]}])
def test_companions_change_trained_values_by_rounding_alone(members, batches, registry, tmp_path, model):
    own = members(architecture=registry.create("architecture", "mlp", **model))
    together = train(own, batches, tmp_path / "together", "vectorized")
    fewer = train([own[3], own[1]], batches, tmp_path / "fewer", "vectorized")
    for result, place in zip(fewer, (3, 1), strict=True):
        assert (result.epochs, result.best_epoch) == (together[place].epochs, together[place].best_epoch)
        for name, tensor in result.state.items():
            torch.testing.assert_close(tensor, together[place].state[name], rtol=1e-3, atol=1e-4)


def test_members_leave_at_their_own_time_with_their_best_parameters(members, batches, tmp_path):
    with float64():
        together = train(members(), Double(batches), tmp_path / "together", "vectorized")
        alone = train(members(), Double(batches), tmp_path / "alone", "loop")
    assert [result.epochs for result in together] == [3, 4, 5, 9, 9]
    for one, other in zip(together, alone, strict=True):
        assert (one.epochs, one.best_epoch, one.stopped) == (other.epochs, other.best_epoch, other.stopped)
        for name, tensor in one.state.items():
            torch.testing.assert_close(tensor, other.state[name], rtol=0, atol=1e-8)


@pytest.mark.parametrize("stop_after", [1, 2, 3, 5])
@pytest.mark.parametrize("seconds", [0.0, 1e9])
def test_resuming_changes_no_bit(members, batches, tmp_path, stop_after, seconds):
    own = members(keep=Keep(best=2, every_epochs=3))
    whole = train(own, batches, tmp_path / "whole", "vectorized")
    with pytest.raises(Interrupted, match="interrupted after epoch"):
        train(own, batches, tmp_path / "parts", "vectorized", watch=Silent(stop_after), seconds=seconds)
    same_bits(train(own, batches, tmp_path / "parts", "vectorized", resume=True), whole)
    same_bits(train(own, batches, tmp_path / "parts", "auto", resume=True), whole)
    lines = [(tmp_path / folder / "history.jsonl").read_text().count("\n") for folder in ("whole", "parts")]
    assert lines[0] == lines[1] == sum(result.epochs for result in whole)
    kept = [
        sorted(str(p.relative_to(tmp_path / folder)) for p in (tmp_path / folder / "members").rglob("*.safetensors"))
        for folder in ("whole", "parts")
    ]
    assert kept[0] == kept[1]
    assert kept[0]


@pytest.mark.parametrize("engine", ["loop", "vectorized"])
@pytest.mark.parametrize("stop_after", [1, 3, 4])
def test_resuming_a_halving_changes_no_bit(members, batches, tmp_path, engine, stop_after):
    halving = Halving((2, 4))
    own = members(8)
    whole = train(own, batches, tmp_path / "whole", engine, halving=halving)
    with pytest.raises(Interrupted):
        train(own, batches, tmp_path / "parts", engine, halving=halving, watch=Silent(stop_after), seconds=0.0)
    same_bits(train(own, batches, tmp_path / "parts", engine, halving=halving, resume=True), whole)
    assert sum(r.pruned for r in whole) >= 4


@pytest.mark.parametrize("stop_after", range(1, 7))
def test_resuming_works_whoever_has_left(members, batches, registry, tmp_path, stop_after):
    """Also the member whose own network checks the stack's, and all but one."""
    halving = Halving((1, 2, 3))
    own = [
        replace(
            m, architecture=registry.create("architecture", "mlp", hidden=[12], dropout=0.1 * (1 + i)), regularizers=()
        )
        for i, m in enumerate(members(6))
    ]
    whole = train(own, batches, tmp_path / "whole", "vectorized", halving=halving)
    assert sorted(result.epochs for result in whole) == [1, 1, 1, 2, 3, 9]
    with pytest.raises(Interrupted):
        train(own, batches, tmp_path / "parts", "vectorized", halving=halving, watch=Silent(stop_after), seconds=0.0)
    same_bits(train(own, batches, tmp_path / "parts", "vectorized", halving=halving, resume=True), whole)


def test_engines_prune_the_same_members(members, batches, tmp_path):
    results = [
        train(members(9), batches, tmp_path / engine, engine, halving=Halving((1, 3)))
        for engine in ("loop", "vectorized")
    ]
    assert [r.pruned for r in results[0]] == [r.pruned for r in results[1]]
    assert sum(r.pruned and r.epochs == 1 for r in results[0]) == 4


def test_a_queue_of_stacks_is_planned_recorded_and_gives_the_same(members, batches, tmp_path, monkeypatch):
    whole = train(members(), batches, tmp_path / "whole", "vectorized", halving=Halving((2,)))
    network = build_network(members()[0], CPU)
    monkeypatch.setattr(population_room, "STACK_BYTES", 2 * population_room.member_bytes(network, members()[0]) + 1)
    queued = train(members(), batches, tmp_path / "queued", "vectorized", halving=Halving((2,)))
    plan = read_plan(tmp_path / "queued", [member.identity for member in members()])
    assert plan.width == 2
    assert plan.stacks == (("seed-0", "seed-1"), ("seed-2", "seed-3"), ("seed-4",))
    for one, other in zip(whole, queued, strict=True):
        assert (one.epochs, one.pruned) == (other.epochs, other.pruned)
    monkeypatch.undo()
    # The plan of the run counts, not what would be planned today.
    same_bits(train(members(), batches, tmp_path / "queued", "vectorized", halving=Halving((2,)), resume=True), queued)


class Exploding(Schedule):
    """Factor 1 for two epochs, then beyond all reason."""

    name = "exploding"
    needs_horizon = False

    def shape(self, step, horizon, history):
        return 1.0 if step < 2 * horizon.steps_per_epoch else 1e30


@pytest.mark.parametrize("engine", ["loop", "vectorized"])
def test_one_that_diverges_fails_with_its_reason_and_the_others_go_on(members, batches, tmp_path, engine):
    healthy = train(members(), batches, tmp_path / "healthy", engine)
    own = members()
    own[1] = replace(own[1], schedule=Exploding(), regularizers=())
    own[0] = replace(own[0], regularizers=own[0].regularizers)
    results = train(own, batches, tmp_path / "one", "loop" if engine == "loop" else "auto")
    assert results[1].failure.startswith("training diverged in epoch 3, batch ")
    assert "epoch 2, the best, is kept" in results[1].failure or "epoch 1, the best, is kept" in results[1].failure
    assert all(tensor.isfinite().all() for tensor in results[1].state.values())
    for place in (0, 2, 3, 4):
        assert results[place].failure is None
        assert results[place].epochs == healthy[place].epochs
        for name, tensor in results[place].state.items():
            torch.testing.assert_close(tensor, healthy[place].state[name], rtol=1e-2, atol=1e-3)


class Recurrent(Architecture):
    """A network that vmap cannot take."""

    name: ClassVar[str] = "recurrent"

    def build(self, io):
        return _LSTM()


class _LSTM(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.head = nn.LSTM(8, 6, batch_first=True), nn.Linear(6, 10)

    def forward(self, x, *, conditions=(), lengths=None, mask=None):
        return self.head(self.lstm(x.view(-1, 8, 8))[0][:, -1])


def test_what_does_not_stack_falls_back_said_once_with_the_cause(members, batches, tmp_path):
    own = members(3, architecture=Recurrent())
    watch = Silent()
    results = train(own, batches, tmp_path / "auto", "auto", watch=watch)
    assert len(watch.notes) == 1
    cause = "they cannot be computed together (torch computes the LSTM of one network at a time)"
    assert f"one after the other: {cause}" in watch.notes[0]
    same_bits(results, train(own, batches, tmp_path / "loop", "loop"))
    same_bits(train(own, batches, tmp_path / "auto", "auto", resume=True), results)
    with pytest.raises(UsageError, match="--engine vectorized: they cannot be computed together .*; take auto or loop"):
        train(own, batches, tmp_path / "forced", "vectorized")


class Hidden(Architecture):
    """A network whose per-member number is a plain attribute, which a stack cannot see."""

    name: ClassVar[str] = "hidden"
    factor: PerMember = 1.0

    def build(self, io):
        return _Scaled(self.factor)


class _Scaled(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor, self.head = factor, nn.Linear(64, 10)

    def forward(self, x, *, conditions=(), lengths=None, mask=None):
        return self.head(x * self.factor)


def test_a_number_that_is_no_buffer_is_noticed(members, batches, tmp_path):
    own = [replace(m, architecture=Hidden(factor=1.0 + i)) for i, m in enumerate(members(3))]
    watch = Silent()
    results = train(own, batches, tmp_path / "auto", "auto", watch=watch)
    assert "depends on a number that is no buffer" in watch.notes[0]
    same_bits(results, train(own, batches, tmp_path / "loop", "loop"))


class Normalized(Optimizer):
    """A step as long as the gradient of everything it is given: of a whole stack, in a stack."""

    name: ClassVar[str] = "normalized"
    decay: ClassVar[str] = "none"

    def build(self, parameters, *, lr, weight_decay):
        return _Normalized(parameters, {"lr": lr})


class _Normalized(torch.optim.Optimizer):
    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter -= group["lr"] * parameter.grad / parameter.grad.norm()


def test_an_optimizer_that_mixes_members_is_noticed(members, batches, tmp_path):
    watch = Silent()
    own = [replace(m, optimizer=Normalized(lr=0.1 + 0.1 * i)) for i, m in enumerate(members(2))]
    train(own, batches, tmp_path / "auto", "auto", watch=watch)
    assert "the optimizer normalized does not stack: a member's step depends on its companions" in watch.notes[0]


class Ranks(Metric):
    """A metric that keeps scores and compares them with Python numbers, which vmap cannot do."""

    name: ClassVar[str] = "ranks"
    tasks: ClassVar[frozenset[Task]] = frozenset(Task)
    direction: ClassVar[str] = "max"
    lowest: ClassVar[float | None] = 0.0
    highest: ClassVar[float | None] = None
    concatenates: ClassVar[bool] = True
    in_python: bool = False

    def update(self, output, target, weight):
        if self.in_python:
            assert float(output[0, 0]) == output[0, 0].item()
        return {"score": output[:, 0], "right": (output.argmax(-1) == target).to(weight.dtype), "weight": weight}

    def compute(self, statistics):
        order = statistics["score"].argsort()
        return (statistics["right"][order] * torch.arange(len(order))).sum() / len(order)


@pytest.mark.parametrize("in_python", [False, True])
def test_rank_metrics_and_metrics_in_python_agree(members, batches, tmp_path, in_python):
    own = [
        replace(
            m, metrics={"ranks": Ranks(in_python=in_python)}, validation_rows=torch.arange(450, 600 - 7 * i), epochs=2
        )
        for i, m in enumerate(members(3))
    ]
    with float64():
        together = train(own, Double(batches), tmp_path / "together", "vectorized")
        alone = train(own, Double(batches), tmp_path / "alone", "loop")
    for one, other in zip(together, alone, strict=True):
        for mine, theirs in zip(one.history.records, other.history.records, strict=True):
            assert mine.values == pytest.approx(theirs.values, abs=1e-6)


def test_structure_and_not_numbers_splits_stacks(members, batches, registry):
    first, second = members(2)
    assert structure(first, batches) == structure(second, batches)
    wider = replace(second, architecture=registry.create("architecture", "mlp", hidden=[33]))
    other_batch = replace(second, batch_size=32)
    for different in (wider, other_batch, replace(second, frozen=frozenset({"head.bias"}))):
        assert structure(first, batches) != structure(different, batches)
    plan = make_plan([first, wider, replace(second, identity="third")], batches, "auto", CPU)
    assert plan.stacks == (("seed-0", "third"),)
    assert plan.alone == ("seed-1",)
    assert plan.notes == ()


def test_large_networks_train_alone_on_a_processor_and_say_why(members, batches, registry):
    own = members(2, architecture=registry.create("architecture", "mlp", hidden=[2048, 2048]))
    plan = make_plan(own, batches, "auto", CPU)
    assert plan.stacks == ()
    assert "keeps the processor busy" in plan.notes[0]
    assert make_plan(own, batches, "vectorized", CPU).stacks == (("seed-0", "seed-1"),)


class TestWorseHalf:
    def progress(self, member, records, name, *scores, direction="min"):
        from dlcli.contracts.history import EpochRecord

        found = Progress(member(identity=name, direction=direction, epochs=9))
        for epoch, score in enumerate(scores, start=1):
            found.add(EpochRecord(epoch, 0.1, {"val_loss": score}, 0.0))
        return found

    def test_the_smaller_part_of_an_odd_number_leaves(self, member):
        own = [self.progress(member, None, f"m{i}", score) for i, score in enumerate((0.5, 0.1, 0.3, 0.2, 0.4))]
        assert set(worse_half(own, 1)) == {"m0", "m4"}

    def test_of_equals_the_later_leaves_first_and_nan_is_worst(self, member):
        own = [self.progress(member, None, f"m{i}", score) for i, score in enumerate((0.5, float("nan"), 0.5, 0.5))]
        assert set(worse_half(own, 1)) == {"m1", "m3"}

    def test_larger_may_be_better(self, member):
        own = [self.progress(member, None, f"m{i}", s, direction="max") for i, s in enumerate((0.5, 0.7))]
        assert set(worse_half(own, 1)) == {"m0"}

    def test_the_best_so_far_counts_and_later_epochs_do_not(self, member):
        own = [self.progress(member, None, "a", 0.1, 0.9, 0.01), self.progress(member, None, "b", 0.3, 0.2)]
        assert set(worse_half(own, 2)) == {"b"}

    def test_those_that_ended_before_take_no_part(self, member):
        own = [self.progress(member, None, f"m{i}", score) for i, score in enumerate((0.5, 0.1, 0.3))]
        own[1].stopped = "early_stopping: enough"
        assert set(worse_half(own, 1)) == {"m0"}


def test_members_with_fewer_rows_of_as_many_steps_agree(members, dataset, tmp_path):
    own = [replace(m, training_rows=torch.arange(64 * 3 - 10 * i)) for i, m in enumerate(members(3))]
    batches = InMemoryBatches(dataset, CPU)
    together = train(own, batches, tmp_path / "a", "vectorized")
    alone = train(own, batches, tmp_path / "b", "loop")
    for one, other in zip(together, alone, strict=True):
        assert one.history.scores == pytest.approx(other.history.scores, rel=1e-3)
