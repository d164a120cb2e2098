import pytest
import torch
from scripted import ScriptedContext, model, nobody, run

from dlcli import Combination, History, Horizon, KeptStates, MemberResult, Task


def train(wanted):
    place = float(wanted.identity.removeprefix("cycle-"))
    return [model(wanted.identity, wanted.epochs, weight=place)]


@pytest.mark.parametrize(("epochs", "members", "count", "period"), [(30, None, 5, 6), (32, None, 5, 6), (30, 4, 4, 7)])
def test_every_cycle_goes_on_from_the_one_before(registry, epochs, members, count, period):
    strategy = registry.create("ensemble", "snapshot", initial_factor=2.0, final_factor=0.05)
    context = ScriptedContext(epochs=epochs, members=members)
    rounds, outcome = run(strategy, context, train)
    kept = tuple(f"cycle-{place}" for place in range(count))
    assert [[wanted.identity for wanted in each] for each in rounds] == [[name] for name in kept]
    assert rounds[0][0].initial_state is None
    for place, (wanted,) in enumerate(rounds):
        assert (wanted.epochs, wanted.keep, wanted.optimizer) == (period, KeptStates("last"), None)
        assert wanted.schedule == registry.create(
            "schedule", "cosine_restarts", period_epochs=period, initial_factor=2.0, final_factor=0.05
        )
        assert place == 0 or float(wanted.initial_state["weight"]) == place - 1
    assert outcome == Combination(kept)
    assert [reached.members for reached in context.curve] == [kept[: place + 1] for place in range(count)]
    assert context.notes == []


def test_a_snapshot_is_taken_where_the_rate_is_lowest(registry):
    rounds, _ = run(registry.create("ensemble", "snapshot"), ScriptedContext(epochs=30), train)
    cycle, nothing = Horizon(6 * 8, 8), History((), "val_loss", "min")
    for (wanted,) in rounds:
        factors = [wanted.schedule.factor(step, cycle, nothing) for step in range(6 * 8)]
        assert factors[0] == 4.0
        assert factors == sorted(factors, reverse=True)
        assert factors[-1] < 0.01


def test_weights_are_shrunk_and_disturbed_between_cycles(registry):
    weights = torch.randn(200, 100, generator=torch.Generator().manual_seed(1)) + 5.0
    state = {"weight": weights, "bias": torch.ones(4), "count": torch.ones(2, 2, dtype=torch.int64)}

    def trained(wanted):
        return [MemberResult(wanted.identity, wanted.identity, wanted.epochs, 1.0, state=state)]

    strategy = registry.create("ensemble", "snapshot", shrink=0.5, perturb=0.2)
    rounds, _ = run(strategy, ScriptedContext(epochs=10), trained)
    first, second = (rounds[place][0].initial_state for place in (1, 2))
    noise = (first["weight"] - 0.5 * weights) / weights.std()
    assert float(noise.mean()) == pytest.approx(0.0, abs=0.01)
    assert float(noise.std()) == pytest.approx(0.2, abs=0.01)
    assert not torch.equal(first["weight"], second["weight"])
    assert torch.equal(first["bias"], state["bias"])
    assert torch.equal(first["count"], state["count"])
    rounds, _ = run(
        registry.create("ensemble", "snapshot", shrink=1.0, perturb=0.0), ScriptedContext(epochs=10), trained
    )
    assert torch.equal(rounds[1][0].initial_state["weight"], weights)


def test_only_the_last_snapshots(registry):
    context = ScriptedContext(epochs=10)
    _, outcome = run(registry.create("ensemble", "snapshot", last=2), context, train)
    assert outcome.members == ("cycle-3", "cycle-4")
    assert [len(reached.members) for reached in context.curve] == [1, 2]


def test_a_cycle_that_ends_early(registry):
    def stopping(wanted):
        return [model(wanted.identity, 1 if wanted.identity == "cycle-3" else wanted.epochs)]

    context = ScriptedContext(epochs=10)
    _, outcome = run(registry.create("ensemble", "snapshot"), context, stopping)
    assert len(outcome.members) == 5
    (note,) = context.notes
    assert note.startswith("1 of 5 cycles ended before their 2 epochs did")
    assert note.endswith("take early_stopping out of the recipe")


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
