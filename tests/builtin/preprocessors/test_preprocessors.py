import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from dlcli import Field

GENERATOR = torch.Generator().manual_seed(2)
ROWS = torch.randn(50, 4, generator=GENERATOR) * torch.tensor([1.0, 10.0, 0.01, 3.0]) + torch.tensor([0.0, 5, 100, -2])
IMAGES = torch.randint(0, 256, (20, 3, 5, 4), generator=GENERATOR, dtype=torch.uint8)
IMAGES[:, 2] //= 4
NAMES = ["standardize", "scale"]


def kept(state):
    """A state as the model keeps it."""
    return {key: value.float() for key, value in state.items()}


def columns(images):
    return images.movedim(1, -1).flatten(0, -2).numpy().astype(np.float64)


@pytest.mark.parametrize(
    ("name", "parameters", "oracle"),
    [
        ("standardize", {}, StandardScaler()),
        ("scale", {}, MinMaxScaler()),
        ("scale", {"low": -1.0, "high": 3.0}, MinMaxScaler((-1, 3))),
    ],
)
def test_features_and_images_as_in_scikit_learn(registry, name, parameters, oracle):
    component = registry.create("preprocessor", name, **parameters)
    new = ROWS * 2 - 1
    got = component.apply(kept(component.fit(ROWS)), new)
    assert got.dtype == torch.float32
    expected = oracle.fit(ROWS.double().numpy()).transform(new.double().numpy())
    np.testing.assert_allclose(got, expected, rtol=2e-5, atol=2e-5 if name == "scale" else 2e-3)

    state = component.fit(IMAGES)
    got = component.apply(kept(state), IMAGES)
    assert got.shape == IMAGES.shape
    assert got.dtype == torch.float32
    expected = oracle.fit(columns(IMAGES)).transform(columns(IMAGES))
    np.testing.assert_allclose(columns(got), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_sequences_are_done_by_column(registry, name):
    component = registry.create("preprocessor", name)
    state = kept(component.fit(ROWS))
    sequences = ROWS.view(10, 5, 4)
    assert torch.equal(component.apply(state, sequences), component.apply(state, ROWS).view(10, 5, 4))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rows", [ROWS, IMAGES], ids=["features", "images"])
def test_any_chunks_give_the_same_state(registry, name, rows):
    component = registry.create("preprocessor", name)
    whole = component.fit(rows)
    assert all(value.dtype == torch.float64 for value in whole.values())

    @settings(max_examples=25, deadline=None, derandomize=True)
    @given(st.sets(st.integers(1, len(rows) - 1), max_size=6))
    def check(cuts):
        chunks = torch.tensor_split(rows, sorted(cuts))
        state = component.fit(chunks[0])
        for chunk in chunks[1:]:
            state = component.merge(state, component.fit(chunk))
        torch.testing.assert_close(state, whole, rtol=1e-10, atol=1e-12)

    check()


def test_merging_survives_a_mean_far_from_zero(registry):
    component = registry.create("preprocessor", "standardize")
    rows = ROWS.double() + 1e7
    state = component.fit(rows[:1])
    for row in rows[1:]:
        state = component.merge(state, component.fit(row[None]))
    torch.testing.assert_close(state["variance"], rows.var(0, correction=0), rtol=1e-4, atol=0)


@pytest.mark.parametrize(("name", "parameters", "expected"), [("standardize", {}, 0.0), ("scale", {"low": 0.25}, 0.25)])
@pytest.mark.parametrize("value", [0.0, 0.1, 255.0, -1e6])
def test_a_constant_column_is_constant_not_nan(registry, name, parameters, expected, value):
    component = registry.create("preprocessor", name, **parameters)
    rows = torch.full((30, 2), value, dtype=torch.float64)
    state = component.merge(component.fit(rows[:7]), component.fit(rows[7:]))
    assert (component.apply(kept(state), rows) == expected).all()
    assert (component.apply(kept(state), rows + 5) == expected).all()


@pytest.mark.parametrize("name", NAMES)
def test_apply_stacks_under_vmap(registry, name):
    component = registry.create("preprocessor", name)
    states = [kept(component.fit(images)) for images in IMAGES.chunk(2)]
    stacked = {key: torch.stack([state[key] for state in states]) for key in states[0]}
    both = torch.vmap(component.apply, in_dims=(0, None))(stacked, IMAGES)
    for index, state in enumerate(states):
        torch.testing.assert_close(both[index], component.apply(state, IMAGES))


def test_scale_stacks_with_other_limits(registry):
    component = registry.create("preprocessor", "scale")
    state = kept(component.fit(ROWS))

    def call(high):
        return component.with_per_member({"high": high}).apply(state, ROWS)

    both = torch.vmap(call)(torch.tensor([0.0, 1.0, 2.0]))
    for index, high in enumerate([0.0, 1.0, 2.0]):
        torch.testing.assert_close(both[index], component.with_per_member({"high": high}).apply(state, ROWS))


def test_scale_by_type_is_a_division_by_255(registry):
    component = registry.create("preprocessor", "scale", by="type")
    state = component.merge(component.fit(IMAGES[:3]), component.fit(IMAGES[3:]))
    torch.testing.assert_close(component.apply(kept(state), IMAGES), IMAGES / 255)
    with pytest.raises(ValueError, match=r'by = "type" needs integers, got torch.float32; use by = "data"'):
        component.fit(ROWS)


@pytest.mark.parametrize("name", NAMES)
def test_accepts_numbers_alone(registry, name):
    component = registry.create("preprocessor", name)
    fields = {
        kind: Field("x", "input", kind, (4,), "int64") for kind in ("features", "sequence", "tokens", "categorical")
    }
    assert [kind for kind, field in fields.items() if component.accepts(field)] == ["features", "sequence"]
    image = Field("x", "input", "image", (1, 8, 8), "uint8")
    assert component.accepts(image)
    assert component.output(image) == Field("x", "input", "image", (1, 8, 8), "float32")


@pytest.mark.parametrize("name", NAMES)
def test_no_rows(registry, name):
    with pytest.raises(ValueError, match=f"{name} needs at least one row to fit on, got none"):
        registry.create("preprocessor", name).fit(ROWS[:0])


def test_scale_limits_are_ordered(registry):
    with pytest.raises(ValidationError, match=r"low must be below high, got low = 1.0 and high = 1.0"):
        registry.create("preprocessor", "scale", low=1.0)
