import pytest
import torch
from scripted import ScriptedContext, model, nobody, run, states_of

from dlcli import Combination, KeptStates, Task


def train(wanted):
    if wanted.identity == "start":
        return [model("start", wanted.epochs, weight=7.0)]
    return states_of(wanted.identity, range(wanted.keep.count, wanted.epochs + 1, wanted.keep.count))


@pytest.mark.parametrize(
    ("epochs", "members", "parameters", "first", "cycles"),
    [
        (30, None, {}, 21, 4),
        (30, 3, {}, 21, 3),
        (30, None, {"pretrain": 0.5, "cycle_epochs": 3}, 15, 5),
        (3, None, {"pretrain": 0.1}, 1, 1),
    ],
)
def test_cycles_after_an_ordinary_training(registry, epochs, members, parameters, first, cycles):
    strategy = registry.create("ensemble", "fast_geometric", high=0.4, low=0.02, **parameters)
    context = ScriptedContext(epochs=epochs, members=members)
    ((start,), (wanted,)), outcome = run(strategy, context, train)
    length = strategy.cycle_epochs
    assert (start.identity, start.epochs, start.schedule) == ("start", first, None)
    assert start.keep == KeptStates("last")
    assert wanted.epochs == cycles * length
    assert wanted.keep == KeptStates("every", length)
    assert wanted.schedule == registry.create("schedule", "cyclic", cycle_epochs=length, high=0.4, low=0.02)
    assert float(wanted.initial_state["weight"]) == 7.0
    kept = tuple(f"network-epoch-{count * length:04}" for count in range(1, cycles + 1))
    assert outcome == Combination(kept)
    assert [reached.members for reached in context.curve] == [kept[:count] for count in range(1, cycles + 1)]


def test_a_training_that_ends_early(registry):
    strategy, context = registry.create("ensemble", "fast_geometric"), ScriptedContext(epochs=20)
    _, outcome = run(strategy, context, lambda wanted: train(wanted)[:1])
    assert outcome.members == ("network-epoch-0002",)
    assert context.notes[0].startswith("training ended after 1 of 3 cycles")
    with pytest.raises(ValueError, match="training ended before the first of 3 cycles of 2 epochs did"):
        run(strategy, context, lambda wanted: train(wanted) if wanted.identity == "start" else [])


def test_what_it_cannot_do(registry):
    strategy = registry.create("ensemble", "fast_geometric")
    message = "wants 5 cycles of 2 epochs, but of 30 epochs 9 are left for them; raise train.epochs, or lower pretrain"
    with pytest.raises(ValueError, match=message):
        run(strategy, ScriptedContext(epochs=30, members=5), nobody)
    with pytest.raises(ValueError, match="wants 1 cycles of 2 epochs, but of 4 epochs 1 are left"):
        run(strategy, ScriptedContext(epochs=4), nobody)
    with pytest.raises(ValueError, match="low is 0.6, above high = 0.5: give a low of at most high"):
        registry.create("ensemble", "fast_geometric", low=0.6)


def test_probabilities_are_averaged(registry):
    outputs = torch.tensor([[[0.3]], [[-1.0]]])
    combined = registry.create("ensemble", "fast_geometric").combine(Task.BINARY, {}, {})(outputs)
    torch.testing.assert_close(combined.sigmoid(), outputs.sigmoid().mean(0))
