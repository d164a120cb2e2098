import pytest
import torch
from scripted import ScriptedContext, nobody, run, states_of

from dlcli import Combination, History, Horizon, KeptStates, Task


def train(wanted):
    return states_of(wanted.identity, range(wanted.keep.count, wanted.epochs + 1, wanted.keep.count))


@pytest.mark.parametrize(
    ("epochs", "members", "used", "period"), [(30, None, 30, 6), (32, None, 30, 6), (30, 4, 28, 7), (5, 5, 5, 1)]
)
def test_cycles_of_one_training(registry, epochs, members, used, period):
    strategy = registry.create("ensemble", "snapshot", initial_factor=2.0, final_factor=0.05)
    context = ScriptedContext(epochs=epochs, members=members)
    rounds, outcome = run(strategy, context, train)
    ((wanted,),) = rounds
    assert (wanted.identity, wanted.epochs, wanted.keep) == ("network", used, KeptStates("every", period))
    assert wanted.schedule == registry.create(
        "schedule", "cosine_restarts", period_epochs=period, initial_factor=2.0, final_factor=0.05
    )
    kept = tuple(f"network-epoch-{epoch:04}" for epoch in range(period, used + 1, period))
    assert outcome == Combination(kept)
    assert [reached.members for reached in context.curve] == [kept[:count] for count in range(1, len(kept) + 1)]
    assert context.notes == []


def test_a_snapshot_is_taken_where_the_rate_is_lowest(registry):
    rounds, _ = run(registry.create("ensemble", "snapshot"), ScriptedContext(epochs=30), train)
    wanted = rounds[0][0]
    whole, nothing = Horizon(30 * 8, 8), History((), "val_loss", "min")
    factors = [wanted.schedule.factor(step, whole, nothing) for step in range(30 * 8)]
    ends = [factors[epoch * 8 - 1] for epoch in range(6, 31, 6)]
    assert max(ends) == min(factors[: 6 * 8])
    assert factors[6 * 8] == 3.0


def test_only_the_last_snapshots(registry):
    context = ScriptedContext(epochs=10)
    _, outcome = run(registry.create("ensemble", "snapshot", last=2), context, train)
    assert outcome.members == ("network-epoch-0008", "network-epoch-0010")
    assert [len(reached.members) for reached in context.curve] == [1, 2]


def test_a_training_that_ends_early(registry):
    strategy, context = registry.create("ensemble", "snapshot"), ScriptedContext(epochs=10)
    _, outcome = run(strategy, context, lambda wanted: train(wanted)[:2])
    assert outcome.members == ("network-epoch-0002", "network-epoch-0004")
    assert context.notes[0].startswith("training ended after 2 of 5 cycles; a training in cycles must not be stopped")
    with pytest.raises(ValueError, match="before the first of 5 cycles of 2 epochs did; .*take early_stopping out"):
        run(strategy, context, lambda wanted: [])


def test_what_it_cannot_do(registry):
    strategy = registry.create("ensemble", "snapshot")
    with pytest.raises(ValueError, match="wants 5 cycles of at least one epoch, but train.epochs is 4; raise it"):
        run(strategy, ScriptedContext(epochs=4), nobody)
    strategy = registry.create("ensemble", "snapshot", last=4)
    with pytest.raises(ValueError, match="average the last 4 of 3 snapshots; lower ensemble.strategy.last"):
        run(strategy, ScriptedContext(epochs=10, members=3), nobody)
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        registry.create("ensemble", "snapshot", last=0)


def test_probabilities_are_averaged(registry):
    outputs = torch.tensor([[[0.0, 2.0, 0.0]], [[1.0, 0.0, -1.0]]])
    combined = registry.create("ensemble", "snapshot").combine(Task.MULTICLASS, {}, {})(outputs)
    torch.testing.assert_close(combined.exp(), outputs.softmax(-1).mean(0))
