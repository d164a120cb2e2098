"""Laws of preprocessors."""

import torch
from torch import Tensor

from dlcli import Field, Preprocessor
from dlcli.testing.examples import FIELDS
from dlcli.testing.law import Case, Law, assert_close, assert_equal, assert_finite
from dlcli.testing.variants import MEMBERS, assert_stacks

ROWS = 30
State = dict[str, Tensor]


def accepted(case: Case) -> list[Field]:
    """Return the standard fields that the preprocessor accepts, images also as uint8; at least one."""
    bytes_ = Field(**{**vars(FIELDS["image"]), "dtype": "uint8"})
    found = [field for field in (*FIELDS.values(), bytes_) if case.component.accepts(field)]
    assert found, f"{case.label} accepts no field of any kind"
    return found


def raw_rows(case: Case, field: Field, seed: int = 0) -> Tensor:
    """Draw raw rows (N, F), (N, C, H, W) or (N,) categories; the first feature of floating fields is constant.

    Where the preprocessor takes missing values, one in five of the others is NaN, and all of the first row.
    """
    generator = case.generator(seed)
    shape = (ROWS, field.shape[-1]) if field.kind == "sequence" else (ROWS, *field.shape)
    if field.dtype != "float32":
        high = len(field.classes) or 256
        return torch.randint(high, shape, generator=generator).to(getattr(torch, field.dtype))
    rows = torch.randn(shape, generator=generator) * 3 + 10
    rows[:, 0] = 7.0
    if case.component.takes_missing and field.kind in ("features", "sequence"):
        rows[:, 1:][torch.rand(rows[:, 1:].shape, generator=generator) < 0.2] = torch.nan
        rows[0, 1:] = torch.nan
    return rows


def batch_of(field: Field, rows: Tensor) -> Tensor:
    """Return rows as a batch for `apply`: sequences have a dimension of steps."""
    return rows.view(-1, 5, *rows.shape[1:]) if field.kind == "sequence" else rows


def kept(case: Case, field: Field, state: State) -> State:
    """Return a state as it is kept: finished, floating tensors in float32."""
    finished = case.component.finish(state, field)
    return {key: value.float() if value.is_floating_point() else value for key, value in finished.items()}


def merging_chunks_is_fitting_the_whole(case: Case) -> None:
    """Fitted on chunks and merged, in any grouping, the state is that of all rows at once."""
    component: Preprocessor = case.component
    for field in accepted(case):
        rows = raw_rows(case, field)
        whole = component.finish(component.fit(rows), field)
        first, second, third = (component.fit(chunk) for chunk in (rows[:1], rows[1:10], rows[10:]))
        merged = (
            component.merge(component.merge(first, second), third),
            component.merge(first, component.merge(second, third)),
        )
        for state in (component.finish(state, field) for state in merged):
            assert state.keys() == whole.keys(), f"{case.label}: merge keeps {sorted(state)}, fit gives {sorted(whole)}"
            for key, value in whole.items():
                message = f"{case.label} on {field.kind}: {key} of merged chunks is not that of all rows"
                assert_close(state[key].double(), value.double(), message, 1e-6)


def applies_finite_float32(case: Case) -> None:
    """`apply` gives finite numbers of the shape and dtype that `output` promises, constant features included."""
    component: Preprocessor = case.component
    for field in accepted(case):
        rows = raw_rows(case, field)
        batch = batch_of(field, rows)
        output, promised = component.apply(kept(case, field, component.fit(rows)), batch), component.output(field)
        assert_finite(output, f"{case.label} on {field.kind} {field.dtype}")
        shape = (len(batch), *(batch.shape[1:2] if field.kind == "sequence" else ()))
        shape += promised.shape[1:] if field.kind == "sequence" else promised.shape
        where = f"{case.label} on {field.kind} {field.dtype}"
        assert output.shape == shape, f"{where}: {tuple(output.shape)}, but output() promises {shape}"
        assert output.dtype == getattr(torch, promised.dtype), f"{where}: {output.dtype}, promised {promised.dtype}"


def is_pure(case: Case) -> None:
    """`fit`, `merge` and `apply` change neither rows nor states, and a row is preprocessed alike in any batch."""
    component: Preprocessor = case.component
    for field in accepted(case):
        rows = raw_rows(case, field)
        fitted, before = component.fit(rows), rows.clone()
        state = kept(case, field, fitted)
        held = [{key: value.clone() for key, value in tensors.items()} for tensors in (fitted, state)]
        batch = batch_of(field, rows)
        whole = component.apply(state, batch)
        component.merge(fitted, fitted)
        assert_equal(rows, before, f"{case.label} on {field.kind}: changes the rows in place")
        for tensors, copies in zip((fitted, state), held, strict=True):
            for key, value in copies.items():
                assert_equal(tensors[key], value, f"{case.label} on {field.kind}: changes {key} of the state in place")
        alone = component.apply(state, batch[:1])
        assert_close(alone, whole[:1], f"{case.label} on {field.kind}: a row alone becomes another")


def stacks(case: Case) -> None:
    """Members with states of their own, computed together under vmap, get what each gets alone."""
    for field in accepted(case):
        rows = torch.stack([raw_rows(case, field, seed) for seed in range(MEMBERS)])
        states = [kept(case, field, case.component.fit(member)) for member in rows]
        stacked = {key: torch.stack([state[key] for state in states]) for key in states[0]}
        batches = torch.stack([batch_of(field, member) for member in rows])
        assert_stacks(case, lambda component, state, batch: component.apply(state, batch), stacked, batches)


LAWS = tuple(
    Law(check, ("preprocessor",))
    for check in (merging_chunks_is_fitting_the_whole, applies_finite_float32, is_pure, stacks)
)
