import pytest
from scripted import ScriptedContext, model, run

from dlcli import KeptStates, SingleMember


def test_one_network_whose_average_is_the_answer(registry):
    strategy = registry.create("ensemble", "ema", decay=0.95)
    assert strategy.counts is None
    rounds, outcome = run(strategy, ScriptedContext(), lambda wanted: [model(wanted.identity)])
    ((wanted,),) = rounds
    assert wanted.averager == registry.create("averager", "ema", decay=0.95)
    assert wanted.schedule is None
    assert wanted.keep == KeptStates("last")
    assert outcome == SingleMember("network")


def test_its_default_is_the_averagers(registry):
    assert registry.create("ensemble", "ema").decay == registry.create("averager", "ema").decay == 0.999
    with pytest.raises(ValueError, match="less than 1"):
        registry.create("ensemble", "ema", decay=1.0)
