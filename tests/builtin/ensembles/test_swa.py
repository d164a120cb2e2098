import pytest
from scripted import ScriptedContext, model, run

from dlcli import KeptStates, SingleMember


def test_one_network_with_the_schedule_and_the_average(registry):
    settings = {"start": 0.6, "anneal_epochs": 1.0, "final_factor": 0.1}
    strategy = registry.create("ensemble", "swa", **settings)
    assert strategy.counts is None
    rounds, outcome = run(strategy, ScriptedContext(), lambda wanted: [model(wanted.identity)])
    ((wanted,),) = rounds
    assert wanted.averager == registry.create("averager", "swa", start=0.6)
    assert wanted.schedule == registry.create("schedule", "swa", **settings)
    assert wanted.keep == KeptStates("last")
    assert outcome == SingleMember("network")


def test_its_defaults_are_the_schedules_and_the_averagers(registry):
    strategy, schedule = registry.create("ensemble", "swa"), registry.create("schedule", "swa")
    for key in ("start", "anneal_epochs", "final_factor"):
        assert getattr(strategy, key) == getattr(schedule, key)
    assert strategy.start == registry.create("averager", "swa").start


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"start": 1.0}, "less than 1"),
        ({"final_factor": 0.0}, "greater than 0"),
        ({"anneal_epochs": -1.0}, "equal to 0"),
    ],
)
def test_ranges(registry, parameters, message):
    with pytest.raises(ValueError, match=message):
        registry.create("ensemble", "swa", **parameters)
