"""Laws of what builds modules: architectures, activations, normalizations, input layers."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dlcli import DlcliError, Field, InputOutput, Task, squashed_by
from dlcli.testing.examples import FIELDS, rows_of, sample_inputs, standard_io
from dlcli.testing.law import Case, Law, assert_close, assert_equal, assert_finite
from dlcli.testing.variants import variants

KINDS = ("architecture", "activation", "normalization", "input_layer")
WIDTH = 16
ROWS = 5


@dataclass(frozen=True)
class Sample:
    """A module to build and a batch for it.

    Args:
        label: What it is, for messages.
        build: Builds the module from the component.
        inputs: Tensors whose first dimension is the batch.
        shape: Shape that its output must have.
        keywords: What else `forward` gets; tensors have the batch first too.
    """

    label: str
    build: Callable[[Any], nn.Module]
    inputs: tuple[Tensor, ...]
    shape: tuple[int, ...]
    keywords: dict[str, Any] = field(default_factory=dict)

    def make(self, component: Any, seed: int = 0) -> nn.Module:
        """Build the module with torch's stream seeded."""
        torch.manual_seed(seed)
        return self.build(component)

    def output(self, module: nn.Module) -> Tensor:
        """Run the module on the batch, with torch's stream seeded."""
        torch.manual_seed(1)
        result: Tensor = module(*self.inputs, **self.keywords)
        return result

    def first(self) -> "Sample":
        """Return the same with a batch of the first row alone."""

        def cut(value: Any) -> Any:
            return tuple(map(cut, value)) if isinstance(value, tuple) else None if value is None else value[:1]

        keywords = {key: cut(value) for key, value in self.keywords.items()}
        return Sample(self.label, self.build, cut(self.inputs), (1, *self.shape[1:]), keywords)


def samples(case: Case) -> list[Sample]:
    """Return what to build and feed: every standard input and output an architecture accepts; else every layout."""
    if case.kind == "architecture":
        return accepted(case)
    if case.kind == "input_layer":
        return fields_taken(case)
    multiple = case.component.input_multiple if case.kind == "activation" else 1
    made = []
    for rest, feature_dim in (((), 1), ((4, 3), 1), ((7,), -1)):
        wide, out = ((*rest, WIDTH * m) if feature_dim == -1 else (WIDTH * m, *rest) for m in (multiple, 1))

        def build(component: Any, feature_dim: int = feature_dim) -> nn.Module:
            module: nn.Module = component.build(WIDTH, feature_dim)
            return module

        inputs = (torch.randn(ROWS, *wide, generator=case.generator()),)
        sample = Sample(f"(B, {str(wide)[1:]}, feature_dim {feature_dim}", build, inputs, (ROWS, *out))
        if case.kind != "normalization" or not refused(case, sample):
            made.append(sample)
    assert made, f"{case.label} refuses every layout"
    return made


def refused(case: Case, sample: Sample) -> bool:
    """Return whether a normalization refuses a layout, with a ValueError that has a message."""
    try:
        sample.output(sample.make(case.component))
    except ValueError as error:
        if not str(error).strip():
            pytest.fail(f"{case.label} refuses {sample.label} without saying why")
        return True
    return False


def fields_taken(case: Case) -> list[Sample]:
    """Return a sample for every standard field that an input layer accepts, as its preprocessors make it."""
    made = []
    for label, raw in FIELDS.items():
        if not case.component.accepts(raw):
            continue
        seen = raw
        for step in case.component.preprocessors():
            seen = step.output(seen)

        def build(component: Any, seen: Field = seen) -> nn.Module:
            module: nn.Module = component.build(seen)
            return module

        inputs = (rows_of(seen, ROWS, case.generator()),)
        made.append(Sample(label, build, inputs, (ROWS, *case.component.output(seen).shape)))
    assert made, f"{case.label} accepts no field of any kind"
    return made


def accepted(case: Case) -> list[Sample]:
    """Return a sample for every standard input and output that the architecture builds a network for.

    It may refuse some with a ValueError or DlcliError that has a message; anything else raised is a fault.
    """
    made, refused = [], []
    for label, io in standard_io().items():

        def build(component: Any, io: InputOutput = io) -> nn.Module:
            module: nn.Module = component.build(io)
            return module

        inputs, keywords = sample_inputs(io, ROWS, case.generator())
        steps = io.inputs[0].shape[:1] if io.per_position else ()
        sample = Sample(label, build, inputs, (ROWS, *steps, io.outputs), keywords)
        try:
            sample.make(case.component)
        except (ValueError, DlcliError) as error:
            if not str(error).strip():
                pytest.fail(f"{case.label} refuses {label} without saying why")
            refused.append(f"{label}: {error}")
        else:
            made.append(sample)
    assert made, f"{case.label} builds for none of the standard inputs and outputs:\n" + "\n".join(refused)
    return made


def keeps_its_shape_and_dtype(case: Case) -> None:
    """The output has the shape that the contract says and the input's dtype: (B, O) or (B, T, O) from a network."""
    for sample in samples(case):
        module = sample.make(case.component)
        for training in (True, False):
            output = sample.output(module.train(training))
            where = f"{case.label} on {sample.label} ({'training' if training else 'evaluation'})"
            assert output.shape == sample.shape, f"{where}: {tuple(output.shape)}, expected {sample.shape}"
            assert output.dtype == torch.float32, f"{where}: {output.dtype}, expected torch.float32"
            assert_finite(output, where)
        if all(value.is_floating_point() for value in sample.inputs) and not sample.keywords.get("conditions"):
            double = module.double()(*(value.double() for value in sample.inputs), **sample.keywords)
            assert double.dtype == torch.float64, f"{case.label} on {sample.label}: float64 becomes {double.dtype}"


def gives_finite_gradients(case: Case) -> None:
    """Every parameter, and every floating input, gets a gradient, and it is finite."""
    for sample in samples(case):
        module = sample.make(case.component).train()
        inputs = tuple(x.clone().requires_grad_() if x.is_floating_point() else x for x in sample.inputs)
        output = module(*inputs, **sample.keywords)
        (output * torch.randn(output.shape, generator=case.generator(2))).sum().backward()
        learned = {name: p for name, p in module.named_parameters() if p.requires_grad}
        entries = {f"input {place}": x for place, x in enumerate(inputs) if x.is_floating_point()}
        for name, tensor in {**learned, **entries}.items():
            where = f"{case.label} on {sample.label}: gradient of {name}"
            assert tensor.grad is not None, f"{where} is missing: the output does not depend on it"
            assert_finite(tensor.grad, where)


def same_seed_gives_the_same_output(case: Case) -> None:
    """Built twice with torch's stream in one state it is the same, and so is its output in training."""
    for sample in samples(case):
        first, second = sample.make(case.component), sample.make(case.component)
        for (name, one), two in zip(first.state_dict().items(), second.state_dict().values(), strict=True):
            assert_equal(two, one, f"{case.label} on {sample.label}: {name} differs between two builds with one seed")
        message = f"{case.label} on {sample.label}: outputs differ with one seed"
        assert_equal(sample.output(second.train()), sample.output(first.train()), message)


def evaluation_is_deterministic(case: Case) -> None:
    """In evaluation it gives the same output whatever torch's stream, and changes neither its inputs nor its state."""
    for sample in samples(case):
        module = sample.make(case.component).eval()
        before = [value.clone() for value in (*sample.inputs, *module.state_dict().values())]
        first = sample.output(module)
        torch.manual_seed(2)
        again = module(*sample.inputs, **sample.keywords)
        assert_equal(again, first, f"{case.label} on {sample.label}: two evaluations differ")
        after = (*sample.inputs, *module.state_dict().values())
        for was, value in zip(before, after, strict=True):
            assert_equal(value, was, f"{case.label} on {sample.label}: evaluation changed its input or state in place")


def a_batch_of_one_is_its_row(case: Case) -> None:
    """In evaluation a row's output is the same alone as in a batch."""
    for sample in samples(case):
        module = sample.make(case.component).eval()
        message = f"{case.label} on {sample.label}: the first row differs when it is alone"
        assert_close(sample.first().output(module), sample.output(module)[:1], message)


def its_state_can_be_saved(case: Case) -> None:
    """A freshly built module that loads its `state_dict` gives its outputs."""
    for sample in samples(case):
        first = sample.make(case.component).train()
        sample.output(first)
        second = sample.make(case.component, seed=3)
        second.load_state_dict(first.state_dict())
        message = f"{case.label} on {sample.label}: differs after its state_dict is loaded into a fresh module"
        assert_equal(sample.output(second.eval()), sample.output(first.eval()), message)


def per_member_numbers_are_buffers(case: Case) -> None:
    """Members that differ in per-member numbers share a structure: the numbers are in buffers and nowhere else."""
    numbers = variants(case)
    for sample in samples(case):
        template = sample.make(case.component).eval()
        names = [name for name, _ in (*template.named_parameters(), *template.named_buffers())]
        for values in numbers:
            module = sample.make(case.component.with_per_member(values), seed=4).eval()
            tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
            where = f"{case.label} on {sample.label} with {values}"
            assert list(tensors) == names, f"{where}: parameters and buffers are other than with the defaults"
            torch.manual_seed(1)
            lent = torch.func.functional_call(template, tensors, sample.inputs, sample.keywords)
            assert_close(lent, sample.output(module), f"{where}: keep the number in a buffer, not in an attribute")


def gives_logits(case: Case) -> None:
    """A network's outputs are logits: they end in no softmax or sigmoid, nor add up to one like probabilities."""
    for sample in accepted(case):
        output = sample.output(sample.make(case.component).eval())
        task = next(task for task in Task if task in sample.label)
        advice = f"{case.label} on {sample.label}: return logits, not probabilities: the outputs"
        last = squashed_by(output, task)
        assert last is None, f"{advice} end in a {last}"
        if task is Task.MULTICLASS:
            assert not torch.allclose(output.sum(-1), torch.ones(()), atol=1e-5), f"{advice} add up to 1"


def takes_the_keywords_of_its_contract(case: Case) -> None:
    """A network's `forward` can do without `conditions`, `lengths` and `mask` where the data has none."""
    for sample in accepted(case):
        if not sample.keywords["conditions"] and sample.keywords["mask"] is None:
            output = sample.make(case.component).eval()(*sample.inputs)
            message = f"{case.label} on {sample.label}: called with inputs alone it gives {tuple(output.shape)}"
            assert output.shape == sample.shape, message


def says_rightly_whether_it_removes_a_bias(case: Case) -> None:
    """`removes_bias` is true exactly where a constant added to each feature changes nothing in training."""
    for sample in samples(case):
        shape = (1, *(size if size == WIDTH else 1 for size in sample.shape[1:]))
        bias = torch.linspace(-1.0, 2.0, WIDTH).view(shape)
        plain = sample.output(sample.make(case.component).train())
        shifted = sample.make(case.component).train()(sample.inputs[0] + bias)
        removed = torch.allclose(plain, shifted, atol=1e-4)
        if removed != case.component.removes_bias:
            pytest.fail(
                f"{case.label}: removes_bias is {not removed}, but on {sample.label} a bias has "
                f"{'no' if removed else 'an'} effect"
            )


def keeps_steps_apart(case: Case) -> None:
    """In evaluation no step of a sequence changes what another becomes: causal networks and padding rely on it."""
    for sample in samples(case):
        if sample.label.endswith("feature_dim -1"):
            module, (x,) = sample.make(case.component).eval(), sample.inputs
            other = torch.cat([x[:, :-2], x[:, -2:] + torch.randn(x[:, -2:].shape, generator=case.generator(1))], dim=1)
            message = (
                f"{case.label} on {sample.label}: other values in the last steps change what the first ones become"
            )
            assert_close(module(other)[:, :-2], module(x)[:, :-2], message)


LAWS = (
    *(
        Law(check, KINDS)
        for check in (
            keeps_its_shape_and_dtype,
            gives_finite_gradients,
            same_seed_gives_the_same_output,
            evaluation_is_deterministic,
            a_batch_of_one_is_its_row,
            its_state_can_be_saved,
            per_member_numbers_are_buffers,
        )
    ),
    Law(gives_logits, ("architecture",)),
    Law(takes_the_keywords_of_its_contract, ("architecture",)),
    Law(says_rightly_whether_it_removes_a_bias, ("normalization",)),
    Law(keeps_steps_apart, ("normalization",)),
)
