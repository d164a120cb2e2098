from typing import ClassVar

import pytest
import torch

from dlcli import Preprocessor
from dlcli.testing.law import Law
from dlcli.testing.laws import preprocessors


class Fine(Preprocessor):
    name: ClassVar[str] = "fine"

    def accepts(self, field):
        return field.kind in ("features", "sequence", "image")

    def fit(self, rows):
        return {"lowest": rows.double().amin(0)}

    def merge(self, first, second):
        return {"lowest": torch.minimum(first["lowest"], second["lowest"])}

    def apply(self, state, batch):
        return batch.float() - state["lowest"]


class AcceptsNothing(Fine):
    def accepts(self, field):
        return False


class ForgetsAChunk(Fine):
    def merge(self, first, second):
        return first


class LosesAKey(Fine):
    def merge(self, first, second):
        return {}


class DividesByZero(Fine):
    def fit(self, rows):
        return {"lowest": rows.double().amin(0), "range": rows.double().amax(0) - rows.double().amin(0)}

    def apply(self, state, batch):
        return super().apply(state, batch) / state["range"]


class Double(Fine):
    def apply(self, state, batch):
        return super().apply(state, batch).double()


class Flattens(Fine):
    def apply(self, state, batch):
        return super().apply(state, batch).flatten()


class InPlace(Fine):
    def apply(self, state, batch):
        return batch.sub_(state["lowest"]) if batch.is_floating_point() else super().apply(state, batch)


class MergesInPlace(Fine):
    def merge(self, first, second):
        first["lowest"].add_(second["lowest"])
        return first


class LeavesMissing(Fine):
    takes_missing: ClassVar[bool] = True

    def fit(self, rows):
        return {"lowest": rows.double().nan_to_num().amin(0)}


class FinishesTooWide(Fine):
    def finish(self, state, field):
        return {"lowest": state["lowest"].unsqueeze(0).repeat(2, *[1] * state["lowest"].ndim)}


class ByBatch(Fine):
    def apply(self, state, batch):
        return super().apply(state, batch) - batch.float().mean()


class Branches(Fine):
    def apply(self, state, batch):
        return super().apply(state, batch) if state["lowest"].sum() > 0 else batch.float()


BROKEN = [
    (preprocessors.merging_chunks_is_fitting_the_whole, AcceptsNothing, "accepts no field of any kind"),
    (preprocessors.merging_chunks_is_fitting_the_whole, ForgetsAChunk, "lowest of merged chunks is not that of all"),
    (preprocessors.merging_chunks_is_fitting_the_whole, LosesAKey, r"merge keeps \[\], fit gives \['lowest'\]"),
    (preprocessors.applies_finite_float32, DividesByZero, "on features float32: there are NaN"),
    (preprocessors.applies_finite_float32, LeavesMissing, "on features float32: there are NaN"),
    (preprocessors.applies_finite_float32, FinishesTooWide, "The size of tensor|promises"),
    (preprocessors.applies_finite_float32, Double, "torch.float64, promised float32"),
    (preprocessors.applies_finite_float32, Flattens, r"\(150,\), but output\(\) promises \(30, 5\)"),
    (preprocessors.is_pure, InPlace, "changes the rows in place"),
    (preprocessors.is_pure, MergesInPlace, "changes lowest of the state in place"),
    (preprocessors.is_pure, ByBatch, "a row alone becomes another"),
    (preprocessors.stacks, Branches, "vmap"),
]


@pytest.mark.parametrize(("check", "cls", "match"), BROKEN)
def test_a_broken_preprocessor_fails(case_of, check, cls, match):
    with pytest.raises((AssertionError, RuntimeError), match=match):
        Law(check)(case_of(cls))


@pytest.mark.parametrize("law", preprocessors.LAWS, ids=lambda law: law.name)
def test_a_sound_preprocessor_passes(case_of, law):
    law(case_of(Fine))


def test_every_law_can_fail():
    assert {check for check, _, _ in BROKEN} == {law.check for law in preprocessors.LAWS}
