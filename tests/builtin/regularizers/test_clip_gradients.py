import pytest
import torch
from pydantic import ValidationError

GRADIENTS = {"a": torch.randn(4, 3, generator=torch.Generator().manual_seed(0)), "b": torch.tensor([3.0, -4.0])}


@pytest.mark.parametrize("max_norm", [0.01, 1.0, 5.0, 1e6])
def test_is_torchs(registry, max_norm):
    clip = registry.create("regularizer", "clip_gradients", max_norm=max_norm)
    assert clip.select == "all"
    parameters = {name: torch.nn.Parameter(torch.zeros_like(value)) for name, value in GRADIENTS.items()}
    for name, parameter in parameters.items():
        parameter.grad = GRADIENTS[name].clone()
    torch.nn.utils.clip_grad_norm_(parameters.values(), max_norm)
    before = {name: value.clone() for name, value in GRADIENTS.items()}
    clipped = clip.gradients(GRADIENTS, parameters)
    torch.testing.assert_close(clipped, {name: parameter.grad for name, parameter in parameters.items()})
    torch.testing.assert_close(GRADIENTS, before, rtol=0, atol=0)


def test_members_are_clipped_by_their_own_norm_under_vmap(registry):
    clip = registry.create("regularizer", "clip_gradients")
    stacked = {name: torch.stack([value, value * 10, value * 0.01]) for name, value in GRADIENTS.items()}
    limits = torch.tensor([2.0, 0.5, 1.0])

    def call(limit, gradients):
        return clip.with_per_member({"max_norm": limit}).gradients(gradients, {})

    clipped = torch.vmap(call)(limits, stacked)
    for index, limit in enumerate(limits.tolist()):
        single = {name: value[index] for name, value in stacked.items()}
        expected = clip.with_per_member({"max_norm": limit}).gradients(single, {})
        torch.testing.assert_close({name: value[index] for name, value in clipped.items()}, expected)


def test_nothing_selected(registry):
    assert registry.create("regularizer", "clip_gradients").gradients({}, {}) == {}


def test_a_nan_is_not_hidden(registry):
    clip = registry.create("regularizer", "clip_gradients")
    clipped = clip.gradients({"a": torch.tensor([float("nan"), 1.0]), "b": torch.ones(2)}, {})
    assert all(value.isnan().all() for value in clipped.values())


def test_range(registry):
    with pytest.raises(ValidationError, match="greater than 0"):
        registry.create("regularizer", "clip_gradients", max_norm=0.0)
