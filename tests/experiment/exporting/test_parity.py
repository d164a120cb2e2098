from dataclasses import replace

import pytest
import torch

from dlcli.contracts.field import Field
from dlcli.contracts.task import Task
from dlcli.errors import DataError, ExportError
from dlcli.experiment.exporting.parity import Case, accuracy_of, compare, cut, edge_cases
from dlcli.experiment.models.interface import Interface

FEATURES = Field("x", "input", "features", (3,), "float32")
TARGET = Field("y", "target", "categorical", (), "int64", ("a", "b", "c"))
CLASSES = Interface((FEATURES,), TARGET, Task.MULTICLASS, False, TARGET.classes, ("logits", "probabilities"))
VALUES = Interface(
    (FEATURES,), Field("y", "target", "features", (1,), "float32"), Task.REGRESSION, False, (), ("prediction",)
)


def outputs(rows):
    logits = rows["x"] * 2
    return {"logits": logits, "probabilities": logits.softmax(-1)}


def rows(count=20):
    return {"x": torch.randn(count, 3, generator=torch.Generator().manual_seed(0))}


def cases(fields=(FEATURES,), given=None, steps=None):
    real = Case("validation rows", given or rows(), numbers=torch.arange(100, 120))
    return [real, *edge_cases(fields, real, steps or {})]


def changed(by, only=None, where=slice(None)):
    """Return what is wrong by an amount in one output."""

    def run(given):
        found = outputs(given)
        for name in [only] if only else found:
            found[name] = found[name].clone()
            found[name][where] += by
        return found

    return run


def test_a_faithful_artefact_passes():
    parity = compare(outputs, outputs, CLASSES, cases(), exact=True)
    assert parity.rows == 20
    assert parity.largest == 0
    assert parity.cases[:3] == ("one row alone", "smallest values", "largest values")
    assert parity.cases[3:] == ("values 1000 ranges below", "values 1000 ranges above")


def test_predictions_near_zero_have_the_rounding_of_large_ones():
    def source(given):
        return {"prediction": given["x"][:, :1]}

    def exported(by):
        return lambda given: {"prediction": given["x"][:, :1] + by}

    for size, by, passes in ((5000.0, 3e-4, True), (5000.0, 6e-3, False), (1.0, 3e-4, False)):
        real = Case("validation rows", {"x": torch.tensor([[size, 0.0, 0.0], [0.0, 0.0, 0.0]])})
        if passes:
            assert compare(exported(by), source, VALUES, [real], exact=True).worst.excess < 1
        else:
            with pytest.raises(ExportError, match="the worst is validation rows, row 1, prediction"):
                compare(exported(by), source, VALUES, [real], exact=True)


def test_the_bound_is_one_in_a_hundred_thousand_of_one_and_of_the_value():
    far = {"x": torch.full((2, 3), 50.0)}  # logits 100: 1e-5 + 1e-3 is allowed
    for by, passes in ((9.9e-4, True), (1.1e-3, False)):
        run = changed(by, "logits")
        if passes:
            worst = compare(run, outputs, CLASSES, [Case("validation rows", far)], exact=True).worst
            assert worst.excess == pytest.approx(by / 1.01e-3, rel=0.02)
        else:
            with pytest.raises(ExportError, match=r"the worst is validation rows, row 0, logits: exported 100\.001"):
                compare(run, outputs, CLASSES, [Case("validation rows", far)], exact=True)


def test_the_spread_of_predictions_may_have_their_rounding():
    def predicted(by):
        return lambda given: {"prediction": given["x"] + 1e6, "spread": torch.full((20, 3), 10 + by)}

    interface = replace(VALUES, outputs=("prediction", "spread"))
    assert compare(predicted(0.5), predicted(0), interface, cases()[:1], exact=True).worst.excess < 1
    with pytest.raises(ExportError, match=r"the worst is validation rows, row \d+ of the data, spread: exported"):
        compare(predicted(1.2), predicted(0), interface, cases()[:1], exact=True)
    # Probabilities lend nothing to theirs.
    with pytest.raises(ExportError, match="spread: exported"):
        compare(
            lambda given: {**outputs(given), "spread": torch.full((20, 3), 0.1 + 2e-5)},
            lambda given: {**outputs(given), "spread": torch.full((20, 3), 0.1)},
            CLASSES,
            cases()[:1],
            exact=True,
        )


def test_the_worst_row_is_shown_by_its_number_in_the_data():
    run = changed(0.5, "probabilities", where=7)
    with pytest.raises(ExportError, match=r"worst is validation rows, row 107 of the data, probabilities: exported"):
        compare(run, outputs, CLASSES, cases()[:1], exact=True)


def test_nan_is_refused_wherever_the_source_is_finite():
    with pytest.raises(ExportError, match="logits of the exported model is not finite on validation rows, row 4"):
        compare(changed(float("nan"), "logits", where=4), outputs, CLASSES, cases(), exact=False)


def test_far_out_only_the_class_must_be_the_same():
    def coarse(given):
        found = outputs(given)
        return {**found, "logits": found["logits"] * (1 + 1e-3 * (found["logits"].abs() > 100))}

    assert compare(coarse, outputs, CLASSES, cases(), exact=True).worst.excess == 0

    def other(given):
        found = outputs(given)
        far = found["logits"].abs() > 100
        return {"logits": found["logits"], "probabilities": found["probabilities"].where(~far, 1 / 3)}

    with pytest.raises(ExportError, match=r"says class 0 on values 1000 ranges above, row 0, its source 2"):
        compare(other, outputs, CLASSES, cases(), exact=True)


def test_what_is_not_exact_must_be_finite_and_no_more():
    parity = compare(changed(0.1), outputs, CLASSES, cases(), exact=False)
    assert parity.worst is None


def test_an_artefact_that_fails_or_gives_something_else_is_refused():
    def fails(given):
        raise DataError("wants rows of 8")

    with pytest.raises(ExportError, match="fails on validation rows: wants rows of 8"):
        compare(fails, outputs, CLASSES, cases(), exact=True)
    with pytest.raises(ExportError, match="gives logits, expected logits, probabilities"):
        compare(lambda given: {"logits": given["x"]}, outputs, CLASSES, cases(), exact=True)
    with pytest.raises(ExportError, match=r"of the shape \(20, 1\) on validation rows, its source \(20, 3\)"):
        compare(lambda g: {k: v[:, :1] for k, v in outputs(g).items()}, outputs, CLASSES, cases(), exact=True)


def test_images_are_tried_at_the_limits_of_their_type():
    image = Field("x", "input", "image", (1, 2, 2), "uint8")
    given = {"x": torch.randint(10, 20, (20, 1, 2, 2)).to(torch.uint8)}
    found = {case.name: case.rows["x"] for case in cases((image,), given)}
    assert found["type's smallest values"].unique().tolist() == [0]
    assert found["type's largest values"].unique().tolist() == [255]
    assert found["smallest values"].shape == (1, 1, 2, 2)


def test_sequences_are_tried_short_and_long():
    fields = (
        Field("x", "input", "sequence", (7, 2), "float32"),
        Field("n", "length", "categorical", (), "int64", of="x"),
    )
    given = {"x": torch.randn(20, 7, 2), "n": torch.arange(20) % 5 + 3}
    found = {case.name: case for case in cases(fields, given, {"x": 1})}
    assert found["the shortest sequence"].rows["n"].tolist() == [3]
    assert found["the longest sequence"].rows["n"].tolist() == [7]
    assert found["the longest sequence"].numbers.tolist() == [104]
    few = found["sequences cut to 3 steps"].rows
    assert few["x"].shape == (3, 3, 2)
    assert few["n"].max() == 3
    assert cut(given, fields, {"x": 1}, 2)["x"].shape == (20, 2, 2)


def test_accuracy_and_r2_are_those_of_scikit_learn():
    from sklearn.metrics import accuracy_score, r2_score

    generator = torch.Generator().manual_seed(0)
    found, target = outputs(rows()), torch.randint(3, (20,), generator=generator)
    expected = accuracy_score(target, found["probabilities"].argmax(-1))
    assert accuracy_of(found, target, Task.MULTICLASS) == pytest.approx(expected)
    wanted = torch.randn(20, 2, generator=generator)
    predicted = wanted + 0.3 * torch.randn(20, 2, generator=generator)
    figure = accuracy_of({"prediction": predicted}, wanted, Task.REGRESSION)
    assert figure == pytest.approx(r2_score(wanted, predicted), abs=1e-6)


def test_missing_values_are_among_the_edge_cases():
    given = rows()
    given["x"][:15, 0] = torch.nan
    given["x"][:, 2] = torch.nan
    real = Case("validation rows", given)
    found = {case.name: case.rows["x"] for case in edge_cases((FEATURES,), real, {}, missing=("x",))}
    here = given["x"][15:, 0]
    assert found["smallest values"][0, :2].tolist() == [here.min(), given["x"][:, 1].min()]
    assert found["largest values"][0, :2].tolist() == [here.max(), given["x"][:, 1].max()]
    far = found["values 1000 ranges above"][0]
    torch.testing.assert_close(far[0], here.max() + 1000 * (here.max() - here.min()))
    assert all(found[name][0, 2].isnan() for name in list(found)[1:])  # nobody knows a value
    assert found["missing values"].isnan()[:, :2].tolist() == [[True, True], [True, True], [True, False]]
