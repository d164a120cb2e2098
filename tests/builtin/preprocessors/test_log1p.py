import numpy as np
import torch

from dlcli import Field


def test_as_numpy_and_mirrored_below_zero(registry):
    component = registry.create("preprocessor", "log1p")
    rows = np.array([[0.0, 1e-6, 1.0], [3.5, 1e6, 3e38]])
    state = component.finish(
        component.merge(component.fit(torch.tensor(rows)), {}), Field("x", "input", "features", (3,), "float64")
    )
    got = component.apply(state, torch.tensor(rows))
    assert got.dtype == torch.float32
    np.testing.assert_allclose(got, np.log1p(rows), rtol=1e-6)
    assert torch.equal(component.apply(state, torch.tensor(-rows)), -got)
    images = torch.randint(0, 256, (2, 3, 4, 5), dtype=torch.uint8)
    np.testing.assert_allclose(component.apply(state, images), np.log1p(images.numpy().astype(np.float64)), rtol=1e-6)


def test_accepts_numbers_alone(registry):
    component = registry.create("preprocessor", "log1p")
    kinds = ("features", "sequence", "image", "tokens", "categorical")
    assert [k for k in kinds if component.accepts(Field("x", "input", k, (4,), "float32"))] == list(kinds[:3])
