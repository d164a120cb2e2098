"""A watch sees what the outputs of a module's parts depend on."""

import copy
import gc
import weakref

import pytest
import torch
from torch import nn

from dlcli.experiment.models.module_watch import ModuleWatch, values_of


@pytest.fixture
def module():
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Sequential(nn.ReLU())).eval()


def test_nothing_has_changed(module):
    watch = ModuleWatch(module)
    before = values_of(watch.tensors)
    module(torch.randn(4, 2))
    assert (watch.same_objects(), watch.disturbed(), watch.countable, watch.watches(module)) == (
        True,
        False,
        True,
        True,
    )
    assert values_of(watch.tensors) == before
    assert len(watch.tensors) == 7


def _add(module):
    with torch.no_grad():
        module[0].weight.add_(1)


def _through_an_alias(module):
    module[0].weight.detach().add_(1)


def _data(module):
    module[0].weight.data = torch.zeros(3, 2)


def _train(module):
    module.train()(torch.randn(4, 2))


@pytest.mark.parametrize("change", [_add, _through_an_alias, _data, _train])
def test_values_change(module, change):
    watch = ModuleWatch(module)
    before = values_of(watch.tensors)
    change(module)
    assert values_of(watch.tensors) != before
    assert watch.same_objects()


def _replaced_module(module):
    module[2][0] = nn.Tanh()


def _deleted(module):
    del module[2]


def _replaced_parameter(module):
    module[0].weight = nn.Parameter(module[0].weight.detach())


def _replaced_buffer(module):
    module[1].running_mean = module[1].running_mean + 0


def _no_parameter(module):
    module[0].bias = None


@pytest.mark.parametrize(
    "change", [_replaced_module, _deleted, _replaced_parameter, _replaced_buffer, _no_parameter, nn.Module.double]
)
def test_objects_change(module, change):
    watch = ModuleWatch(module)
    change(module)
    assert not watch.same_objects()


def test_modes_and_hooks_disturb(module):
    watch = ModuleWatch(module)
    module[2].train()
    assert watch.disturbed()
    module.eval()
    for register in (
        module[2][0].register_forward_hook,
        module[1].register_forward_pre_hook,
        nn.modules.module.register_module_forward_hook,
        nn.modules.module.register_module_forward_pre_hook,
    ):
        assert not watch.disturbed()
        handle = register(lambda *arguments: None)
        assert watch.disturbed()
        handle.remove()
    assert not watch.disturbed()


def test_tensors_whose_changes_are_not_counted(module):
    with torch.inference_mode():
        module[1].running_mean = torch.zeros(3)
    assert not ModuleWatch(module).countable


def test_another_module_is_not_watched_and_the_own_not_kept(module):
    watch = ModuleWatch(module)
    assert not watch.watches(copy.deepcopy(module))
    gc.disable()
    try:
        twin = nn.Sequential(nn.Linear(1, 1))
        holder, kept = weakref.ref(twin), ModuleWatch(twin)
        del twin
        assert holder() is None
        assert kept.same_objects()
    finally:
        gc.enable()
