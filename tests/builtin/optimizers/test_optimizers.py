import pytest
import torch
from pydantic import ValidationError

CASES = [
    ("sgd", {}, torch.optim.SGD, {}),
    ("sgd", {"momentum": 0.9}, torch.optim.SGD, {"momentum": 0.9}),
    ("sgd", {"momentum": 0.9, "nesterov": True}, torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
    ("adam", {}, torch.optim.Adam, {}),
    ("adam", {"betas": [0.8, 0.95], "eps": 1e-4}, torch.optim.Adam, {"betas": (0.8, 0.95), "eps": 1e-4}),
    ("adamw", {}, torch.optim.AdamW, {}),
    ("adamw", {"betas": [0.8, 0.95], "eps": 1e-4}, torch.optim.AdamW, {"betas": (0.8, 0.95), "eps": 1e-4}),
]


def path(make, steps=20):
    """Parameters after each step down a bowl whose gradient depends on where one is."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.nn.Parameter(torch.randn(5, 3, generator=generator, dtype=torch.float64))
    bias = torch.nn.Parameter(torch.randn(3, generator=generator, dtype=torch.float64))
    x = torch.randn(steps, 5, generator=generator, dtype=torch.float64)
    optimizer = make([weight, bias])
    places = []
    for row in x:
        optimizer.zero_grad()
        (row @ weight + bias).tanh().square().sum().backward()
        optimizer.step()
        places.append(torch.cat([weight.flatten(), bias]).detach())
    return torch.stack(places)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize(("name", "parameters", "oracle", "arguments"), CASES)
def test_steps_are_torchs(registry, name, parameters, oracle, arguments, weight_decay):
    optimizer = registry.create("optimizer", name, **parameters)
    ours = path(lambda p: optimizer.build(p, lr=0.05, weight_decay=weight_decay))
    theirs = path(lambda p: oracle(p, lr=0.05, weight_decay=weight_decay, foreach=False, **arguments))
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)
    assert (ours[0] != ours[-1]).any()


@pytest.mark.parametrize(("name", "parameters", "oracle", "arguments"), CASES)
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_unit_steps_rescaled_are_the_members_own(registry, name, parameters, oracle, arguments, weight_decay):
    """What a stack does: one step at rate 1 without decay, rescaled, with the decay that the class names."""
    optimizer = registry.create("optimizer", name, **parameters)
    lr = 0.05

    class Rescaled:
        def __init__(self, parameters):
            self.parameters = parameters
            self.inner = optimizer.build(parameters, lr=1.0, weight_decay=0.0)
            self.zero_grad = self.inner.zero_grad

        @torch.no_grad()
        def step(self):
            before = [parameter.clone() for parameter in self.parameters]
            if optimizer.decay == "coupled":
                for parameter in self.parameters:
                    parameter.grad.add_(parameter, alpha=weight_decay)
            self.inner.step()
            shrink = 1 - lr * weight_decay if optimizer.decay == "decoupled" else 1.0
            for parameter, old in zip(self.parameters, before, strict=True):
                parameter.copy_(old * shrink + lr * (parameter - old))

    theirs = path(lambda p: oracle(p, lr=lr, weight_decay=weight_decay, foreach=False, **arguments))
    torch.testing.assert_close(path(Rescaled), theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_built_fused_with_one_group(registry, name):
    optimizer = registry.create("optimizer", name).build([torch.nn.Parameter(torch.ones(2))], lr=0.3, weight_decay=0.2)
    (group,) = optimizer.param_groups
    assert (group["lr"], group["weight_decay"], group["fused"]) == (0.3, 0.2, True)


def test_defaults(registry):
    assert registry.create("optimizer", "sgd").per_member() == {"lr": 1e-2, "weight_decay": 0.0}
    assert registry.create("optimizer", "adam").per_member() == {"lr": 1e-3, "weight_decay": 0.0}
    assert registry.create("optimizer", "adamw").per_member() == {"lr": 1e-3, "weight_decay": 1e-2}


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("sgd", {"lr": 0.0}, "greater than 0"),
        ("adam", {"lr": -1e-3}, "greater than 0"),
        ("adamw", {"lr": float("nan")}, "finite number"),
        ("adam", {"lr": "1e-3"}, "valid number"),
        ("adamw", {"weight_decay": -1.0}, "greater than or equal to 0"),
        ("sgd", {"momentum": 1.0}, "less than 1"),
        ("sgd", {"nesterov": True}, r"nesterov = true needs momentum > 0, got momentum = 0; set momentum, such as 0.9"),
        ("adam", {"betas": [0.9, 1.0]}, "less than 1"),
        ("adam", {"betas": [0.9]}, "Field required"),
        ("adamw", {"eps": 0.0}, "greater than 0"),
        ("adam", {"momentum": 0.9}, "Extra inputs are not permitted"),
    ],
)
def test_ranges(registry, name, parameters, message):
    with pytest.raises(ValidationError, match=message):
        registry.create("optimizer", name, **parameters)
