"""Whether an artefact says what its source says: on real rows, and where formats tend to go wrong."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from dlcli.contracts.field import Field
from dlcli.contracts.task import Task
from dlcli.errors import DataError, ExportError
from dlcli.experiment.models.interface import PREDICTION, PROBABILITIES, SPREAD, Interface

ABSOLUTE, RELATIVE = 1e-5, 1e-5
"""How far outputs may differ: |a − b| ≤ ABSOLUTE + RELATIVE · |b|, and by some ROUNDING of predictions more."""
ROUNDING = 8 * torch.finfo(torch.float32).eps
"""What a few roundings in float32 do to a number, in parts of it."""
FAR = 1e3
"""How many times beyond the range of their column far values lie."""
Rows = Mapping[str, Tensor]
"""Raw rows (B, …) by field name."""
Outputs = dict[str, Tensor]
Run = Callable[[Rows], Outputs]


@dataclass(frozen=True)
class Case:
    """Rows on which two models are compared.

    Args:
        name: What is special about them, in words.
        rows: The rows.
        close: Whether outputs must agree up to rounding; else they must be finite, and of the same class.
        numbers: Their places in the dataset, where they are real.
    """

    name: str
    rows: Rows = field(repr=False)
    close: bool = True
    numbers: Tensor | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Difference:
    """Where two models differ most.

    Args:
        case: On which rows.
        output: In which output.
        row: In which row of the case.
        exported: What the artefact says there.
        source: What the source says there.
        excess: |a − b| over what is allowed; at most 1 passes.
    """

    case: Case
    output: str
    row: int
    exported: float
    source: float
    excess: float

    @property
    def where(self) -> str:
        """On which row of which rows, in which output."""
        number = None if self.case.numbers is None else int(self.case.numbers[self.row])
        row = f"row {number} of the data" if number is not None else f"row {self.row}"
        return f"{self.case.name}, {row}, {self.output}"

    def __str__(self) -> str:
        return (
            f"{self.where}: exported {self.exported:.9g}, source {self.source:.9g}, {self.excess:.3g} times the "
            "difference that is allowed"
        )


@dataclass(frozen=True)
class Parity:
    """What a comparison found.

    Args:
        rows: How many real rows were compared.
        cases: Names of the edge cases.
        worst: Where the two differ most; None where nothing was compared up to rounding.
        largest: The largest |a − b|.
    """

    rows: int
    cases: tuple[str, ...]
    worst: Difference | None
    largest: float


def edge_cases(
    fields: Sequence[Field], real: Case, steps: Mapping[str, int], missing: Collection[str] = ()
) -> Iterator[Case]:
    """Make rows where formats tend to go wrong.

    Args:
        fields: The model's raw fields.
        real: Real rows.
        steps: The dimension of steps of fields whose length may vary.
        missing: Names of the fields in which values may be missing.

    Yields:
        Case: One row alone; the smallest and the largest values of every column; for images the limits of their type;
            for floats values far beyond; where values may be missing, a row that lacks all and rows that lack every
            other one; the shortest and the longest sequence, and batches cut to the shortest.
    """
    yield Case("one row alone", _some(real.rows, slice(0, 1)), numbers=_numbers(real, slice(0, 1)))
    for name, choose in (("smallest values", torch.amin), ("largest values", torch.amax)):
        yield Case(name, {f.name: _extreme(real.rows[f.name], choose) for f in fields})
    bounded = [f.name for f in fields if f.kind == "image" and not real.rows[f.name].is_floating_point()]
    if bounded:
        for name, limit in (("type's smallest values", "min"), ("type's largest values", "max")):
            yield Case(name, {n: _at_limit(n, t[:1], bounded, limit) for n, t in real.rows.items()})
    floats = [f.name for f in fields if real.rows[f.name].is_floating_point()]
    if floats:
        for sign in (-1, 1):
            rows = {n: _far(t, sign) if n in floats else t[:1] for n, t in real.rows.items()}
            yield Case(f"values {FAR:g} ranges {'below' if sign < 0 else 'above'}", rows, close=False)
    if missing:
        yield Case("missing values", {n: _lacking(t[:3], n in missing) for n, t in real.rows.items()})
    length = next((f for f in fields if f.role == "length"), None)
    if length is not None:
        lengths = real.rows[length.name]
        for name, place in (("shortest", int(lengths.argmin())), ("longest", int(lengths.argmax()))):
            part = slice(place, place + 1)
            yield Case(f"the {name} sequence", _some(real.rows, part), numbers=_numbers(real, part))
    if steps:
        least = 1 if length is None else int(real.rows[length.name].min())
        few = _some(real.rows, slice(0, 3))
        yield Case(f"sequences cut to {least} steps", cut(few, fields, steps, least))


def cut(rows: Rows, fields: Sequence[Field], steps: Mapping[str, int], count: int) -> Rows:
    """Return rows whose sequences have so many steps, and lengths no more than these."""
    lengths = {field.name for field in fields if field.role == "length"}
    return {
        n: t.narrow(steps[n], 0, count) if n in steps else t.clamp(max=count) if n in lengths else t
        for n, t in rows.items()
    }


def compare(exported: Run, source: Run, interface: Interface, cases: Sequence[Case], *, exact: bool) -> Parity:
    """Compare an artefact with its source.

    Args:
        exported: Computes the artefact's outputs.
        source: Computes the source's.
        interface: What both give.
        cases: The rows; the first are the real ones.
        exact: Whether outputs must agree up to rounding at all; else they must only be finite.

    Returns:
        What was found.

    Raises:
        ExportError: They differ; shows the worst row.
    """
    worst: Difference | None = None
    largest, size = 0.0, torch.zeros(())
    for case in sorted(cases, key=lambda case: not case.close):
        expected = source(case.rows)
        try:
            found = exported(case.rows)
        except DataError as error:
            raise ExportError(f"the exported model fails on {case.name}: {error}; {_ADVICE}") from error
        if found.keys() != expected.keys():
            raise ExportError(f"the exported model gives {', '.join(found)}, expected {', '.join(expected)}; {_ADVICE}")
        for name, outputs in expected.items():
            _check_finite(case, name, found[name], outputs)
        if PREDICTION in expected:
            size = torch.maximum(size, expected[PREDICTION].abs().flatten(0, -2).nan_to_num(0, 0, 0).amax(0))
        if exact and case.close:
            for name, outputs in expected.items():
                here = _largest(case, name, found[name], outputs, _allowed(name, expected, size))
                largest = max(largest, float((found[name] - outputs).abs().max()))
                worst = here if worst is None or here.excess > worst.excess else worst
        elif exact:
            _refuse(worst)
            _check_classes(case, interface, found, expected)
    _refuse(worst)
    return Parity(len(next(iter(cases[0].rows.values()))), tuple(case.name for case in cases[1:]), worst, largest)


_ADVICE = "nothing was left; try another --format, and tell whoever wrote the component"


def _refuse(worst: Difference | None) -> None:
    if worst is not None and worst.excess > 1:
        raise ExportError(f"the exported model differs from its source; the worst is {worst}; {_ADVICE}")


def _allowed(output: str, expected: Outputs, size: Tensor) -> Tensor:
    """Return how far the values of an output may differ; `size` is the largest prediction of each target so far."""
    allowed = ABSOLUTE + RELATIVE * expected[output].abs().double()
    if output == PREDICTION:  # one near 0 of a target in the thousands is a sum of terms of that size
        allowed = allowed + ROUNDING * size.double()
    if output == SPREAD and PREDICTION in expected:
        # The standard deviation of large, near numbers has the rounding of these numbers, however small it is itself.
        allowed = allowed + ROUNDING * expected[PREDICTION].abs().double()
    return allowed


def _largest(case: Case, output: str, found: Tensor, expected: Tensor, allowed: Tensor) -> Difference:
    # What is infinite in both is the same, and nothing else that is not finite came so far.
    excess = torch.where(found == expected, 0.0, (found.double() - expected.double()).abs() / allowed)
    place = int(excess.argmax())
    row = place // max(1, expected[0].numel())
    at = (values.reshape(-1)[place].item() for values in (found, expected, excess))
    return Difference(case, output, row, *at)


def _check_finite(case: Case, output: str, found: Tensor, expected: Tensor) -> None:
    if found.shape != expected.shape:
        raise ExportError(
            f"the exported model gives {output} of the shape {tuple(found.shape)} on {case.name}, its source "
            f"{tuple(expected.shape)}; {_ADVICE}"
        )
    wrong = ~found.isfinite() & expected.isfinite()
    if bool(wrong.any()):
        row = int(wrong.nonzero()[0, 0])
        raise ExportError(f"{output} of the exported model is not finite on {case.name}, row {row}; {_ADVICE}")


def _check_classes(case: Case, interface: Interface, found: Outputs, expected: Outputs) -> None:
    """See that no class is another, but where the source itself is undecided."""
    if interface.task is Task.REGRESSION:
        return
    said, meant = classes_of(found, interface.task), classes_of(expected, interface.task)
    sure = margin(expected[PROBABILITIES], interface.task) > ABSOLUTE
    other = (said != meant) & sure
    if bool(other.any()):
        row = int(other.nonzero()[0, 0])
        raise ExportError(
            f"the exported model says class {said[row].tolist()} on {case.name}, row {row}, its source "
            f"{meant[row].tolist()}; {_ADVICE}"
        )


def classes_of(outputs: Mapping[str, Tensor], task: Task) -> Tensor:
    """Return the classes that outputs say: an index for multiclass, else 0 or 1 a column."""
    values = outputs[PROBABILITIES]
    return values.argmax(dim=-1) if task is Task.MULTICLASS else (values > 0.5).to(torch.int64)


def margin(probabilities: Tensor, task: Task) -> Tensor:
    """Return how far the most probable class is ahead of the next, shaped as `classes_of`."""
    if task is not Task.MULTICLASS:
        return (2 * probabilities - 1).abs()
    two = probabilities.topk(2, dim=-1).values
    return two[..., 0] - two[..., 1]


def accuracy_of(outputs: Mapping[str, Tensor], target: Tensor, task: Task) -> float:
    """Return the share of right classes, or of regression R² = 1 − Σ(y − ŷ)² / Σ(y − ȳ)², the mean over targets."""
    if task.classifies:
        return float((classes_of(outputs, task) == target).double().mean())
    predicted, wanted = outputs[PREDICTION].double(), target.double()
    residual = (wanted - predicted).square().sum(dim=0)
    return float((1 - residual / (wanted - wanted.mean(dim=0)).square().sum(dim=0)).mean())


def _some(rows: Rows, part: slice) -> Rows:
    return {name: tensor[part] for name, tensor in rows.items()}


def _numbers(case: Case, part: slice) -> Tensor | None:
    return None if case.numbers is None else case.numbers[part]


def _extreme(rows: Tensor, choose: Callable[..., Tensor]) -> Tensor:
    """Return a row of the smallest or the largest numbers there are; NaN where all are missing."""
    if rows.dtype == torch.bool:
        return rows[:1]
    if not rows.is_floating_point():
        return choose(rows, dim=0, keepdim=True)
    last = torch.inf if choose is torch.amin else -torch.inf
    found = choose(torch.where(rows.isnan(), last, rows), dim=0, keepdim=True)
    return torch.where(found.isinf(), torch.nan, found)


def _lacking(rows: Tensor, may: bool) -> Tensor:
    """Return rows of which, where they may, the first lacks all values and the others every other one."""
    if not may:
        return rows
    places = torch.arange(rows[0].numel()).view(rows.shape[1:])
    numbers = torch.arange(len(rows)).view(-1, *[1] * places.ndim)
    return torch.where((numbers == 0) | ((places + numbers) % 2 == 0), torch.nan, rows)


def _at_limit(name: str, row: Tensor, bounded: Sequence[str], limit: str) -> Tensor:
    return torch.full_like(row, getattr(torch.iinfo(row.dtype), limit)) if name in bounded else row


def _far(rows: Tensor, sign: int) -> Tensor:
    least, most = _extreme(rows, torch.amin), _extreme(rows, torch.amax)
    edge = most if sign > 0 else least
    return edge + sign * FAR * (most - least)
