from types import SimpleNamespace

import pytest
import torch
from pydantic import ValidationError

from dlcli.training.stack_optimizer import StackOptimizer


class LionOfThePaper(torch.optim.Optimizer):
    """Algorithm 2 of arXiv 2302.06675, line by line."""

    def __init__(self, parameters, lr, weight_decay, foreach=False, betas=(0.9, 0.99)):
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay})
        self.betas, self.m = betas, {}

    @torch.no_grad()
    def step(self):
        (group,) = self.param_groups
        (beta1, beta2), eta, decay = self.betas, group["lr"], group["weight_decay"]
        for theta in group["params"]:
            g, m = theta.grad, self.m.get(theta, torch.zeros_like(theta))
            c = beta1 * m + (1 - beta1) * g
            theta.copy_(theta - eta * (c.sign() + decay * theta))
            self.m[theta] = beta2 * m + (1 - beta2) * g


CASES = [
    ("sgd", {}, torch.optim.SGD, {}),
    ("sgd", {"momentum": 0.9}, torch.optim.SGD, {"momentum": 0.9}),
    ("sgd", {"momentum": 0.9, "nesterov": True}, torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
    ("sgd", {"momentum": 0.9, "dampening": 0.4}, torch.optim.SGD, {"momentum": 0.9, "dampening": 0.4}),
    ("adagrad", {}, torch.optim.Adagrad, {}),
    (
        "adagrad",
        {"initial_accumulator_value": 0.3, "eps": 1e-3},
        torch.optim.Adagrad,
        {"initial_accumulator_value": 0.3, "eps": 1e-3},
    ),
    ("adam", {}, torch.optim.Adam, {}),
    ("adam", {"betas": [0.8, 0.95], "eps": 1e-4}, torch.optim.Adam, {"betas": (0.8, 0.95), "eps": 1e-4}),
    ("adamw", {}, torch.optim.AdamW, {}),
    ("adamw", {"betas": [0.8, 0.95], "eps": 1e-4}, torch.optim.AdamW, {"betas": (0.8, 0.95), "eps": 1e-4}),
    ("lion", {}, LionOfThePaper, {}),
    ("lion", {"betas": [0.95, 0.8]}, LionOfThePaper, {"betas": (0.95, 0.8)}),
    ("nadam", {}, torch.optim.NAdam, {}),
    (
        "nadam",
        {"betas": [0.8, 0.95], "eps": 1e-4, "momentum_decay": 0.1},
        torch.optim.NAdam,
        {"betas": (0.8, 0.95), "eps": 1e-4, "momentum_decay": 0.1},
    ),
    ("rmsprop", {}, torch.optim.RMSprop, {}),
    ("rmsprop", {"momentum": 0.8, "alpha": 0.9}, torch.optim.RMSprop, {"momentum": 0.8, "alpha": 0.9}),
    ("rmsprop", {"centered": True, "eps": 1e-3}, torch.optim.RMSprop, {"centered": True, "eps": 1e-3}),
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


@pytest.mark.parametrize(("name", "parameters", "oracle", "arguments"), CASES)
def test_members_of_a_stack_take_their_own_steps(registry, name, parameters, oracle, arguments):
    """Members differ in rate, in weight decay, and in the scale of their gradients; one leaves a parameter be."""
    settings = [{"lr": 0.05, "weight_decay": 0.0}, {"lr": 0.2, "weight_decay": 0.1}, {"lr": 0.01, "weight_decay": 0.5}]
    members = [SimpleNamespace(optimizer=registry.create("optimizer", name, **parameters, **own)) for own in settings]
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(3, 5, 2, generator=generator, dtype=torch.float64)
    gradients = torch.randn(20, 3, 5, 2, generator=generator, dtype=torch.float64)
    gradients *= torch.tensor([1.0, 100.0, 0.01]).view(3, 1, 1)
    stacked, untouched = start.clone(), start.clone()
    stack = StackOptimizer(members, [stacked, untouched])
    decays = torch.tensor([own["weight_decay"] for own in settings], dtype=torch.float64).view(3, 1, 1)
    decays = decays if stack.decays_in_gradient else torch.zeros(())
    for gradient in gradients:
        with torch.no_grad():
            stack.step([gradient + decays * stacked, None], [own["lr"] for own in settings])
    for place, own in enumerate(settings):
        parameter = torch.nn.Parameter(start[place].clone())
        alone = oracle([parameter], foreach=False, **own, **arguments)
        for gradient in gradients[:, place]:
            parameter.grad = gradient.clone()
            alone.step()
        torch.testing.assert_close(stacked[place], parameter.detach(), rtol=1e-8, atol=1e-8)
    assert torch.equal(untouched, start)


def test_lion_takes_a_closure_and_leaves_parameters_without_a_gradient(registry):
    moved, frozen = torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(2))
    optimizer = registry.create("optimizer", "lion").build([moved, frozen], lr=0.5, weight_decay=0.1)

    def closure():
        loss = (3 * moved).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 6.0
    assert moved.tolist() == pytest.approx([1 - 0.5 * (1 + 0.1)] * 2)
    assert frozen.tolist() == [1.0, 1.0]
    assert frozen not in optimizer.state


@pytest.mark.parametrize(
    ("name", "form"),
    [
        *((name, "fused") for name in ("adagrad", "adam", "adamw", "sgd")),
        *((name, "foreach") for name in ("nadam", "rmsprop")),
    ],
)
def test_built_in_its_quickest_form_with_one_group(registry, name, form):
    optimizer = registry.create("optimizer", name).build([torch.nn.Parameter(torch.ones(2))], lr=0.3, weight_decay=0.2)
    (group,) = optimizer.param_groups
    assert (group["lr"], group["weight_decay"], group[form]) == (0.3, 0.2, True)


@pytest.mark.parametrize(
    ("name", "lr", "weight_decay"),
    [
        ("adagrad", 1e-2, 0.0),
        ("adam", 1e-3, 0.0),
        ("adamw", 1e-3, 1e-2),
        ("lion", 1e-4, 0.0),
        ("nadam", 2e-3, 0.0),
        ("rmsprop", 1e-2, 0.0),
        ("sgd", 1e-2, 0.0),
    ],
)
def test_defaults(registry, name, lr, weight_decay):
    assert registry.create("optimizer", name).per_member() == {"lr": lr, "weight_decay": weight_decay}


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
        ("sgd", {"dampening": 0.5}, r"dampening = 0.5 needs momentum > 0, got momentum = 0"),
        (
            "sgd",
            {"nesterov": True, "momentum": 0.9, "dampening": 0.5},
            r"nesterov = true needs dampening = 0, got dampening = 0.5; leave one of them out",
        ),
        ("sgd", {"momentum": 0.9, "dampening": 1.5}, "less than or equal to 1"),
        ("adagrad", {"initial_accumulator_value": -1.0}, "greater than or equal to 0"),
        ("adagrad", {"eps": 0.0}, "greater than 0"),
        ("rmsprop", {"alpha": 1.0}, "less than 1"),
        ("rmsprop", {"momentum": 1.0}, "less than 1"),
        ("nadam", {"momentum_decay": -0.1}, "greater than or equal to 0"),
        ("lion", {"betas": [0.9, 1.0]}, "less than 1"),
        ("lion", {"weight_decay": -0.1}, "greater than or equal to 0"),
        ("adam", {"betas": [0.9, 1.0]}, "less than 1"),
        ("adam", {"betas": [0.9]}, "Field required"),
        ("adamw", {"eps": 0.0}, "greater than 0"),
        ("adam", {"momentum": 0.9}, "Extra inputs are not permitted"),
    ],
)
def test_ranges(registry, name, parameters, message):
    with pytest.raises(ValidationError, match=message):
        registry.create("optimizer", name, **parameters)
