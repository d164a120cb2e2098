"""The skeleton of a plugin package, for `dlcli plugins new`: complete, so that its own tests pass as written."""

import re
from pathlib import Path
from string import Template

from dlcli import atomic
from dlcli.errors import UsageError

PREFIX = "dlcli-"
TOPIC = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")

PYPROJECT = """\
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "$distribution"
version = "0.1.0"
description = "A dlcli plugin."
readme = "README.md"
requires-python = ">=3.11"
dependencies = ["dlcli>=0.1"]

[project.optional-dependencies]
dev = ["pytest"]

[project.entry-points.dlcli]
$topic = "$module"

[tool.setuptools]
packages = ["$module"]
"""

INIT = '''\
"""A plugin of dlcli. Loading it imports no torch: components are named, and classes are found when needed."""

from typing import TYPE_CHECKING

from dlcli import hookimpl

if TYPE_CHECKING:
    from dlcli import Registrar


@hookimpl
def register(registry: "Registrar") -> None:
    """Name the components of this package."""
    registry.add("activation", "$component", "$module.gate:Gate")
'''

GATE = '''\
"""The activation `$component`."""

from typing import ClassVar

import torch
from dlcli import Activation, PerMember
from pydantic import Field
from torch import Tensor, nn


class Gate(Activation):
    """Lets large values pass and holds small ones back: x · σ(sharpness · x).

    Args:
        sharpness: How quickly the gate opens, ≥ 0; 0 is x / 2, large values come close to ReLU.

    Shape:
        Any shape; the same comes out.

    Source: Ramachandran, Zoph and Le 2017, "Searching for activation functions".
    """

    name: ClassVar[str] = "$component"
    formula: ClassVar[str] = "x * sigmoid(sharpness * x)"
    gradient: ClassVar[str] = "s + sharpness * x * s * (1 - s), s = sigmoid(sharpness * x)"
    output_range: ClassVar[str] = "about (-0.28 / sharpness, inf)"
    zero_centred: ClassVar[bool] = False
    saturates: ClassVar[str] = "far below 0"

    sharpness: PerMember = Field(1.0, ge=0, description="how quickly the gate opens; large values come close to ReLU")

    def build(self, width: int, feature_dim: int = 1) -> nn.Module:
        """Build the module; any width."""
        return GateModule(self.sharpness)


class GateModule(nn.Module):
    """x · σ(sharpness · x), element by element.

    Args:
        sharpness: Held in a buffer, so that members that train together may differ in it.
    """

    sharpness: Tensor

    def __init__(self, sharpness: float | Tensor) -> None:
        super().__init__()
        self.register_buffer("sharpness", torch.as_tensor(sharpness, dtype=torch.float32), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the activation of every element."""
        return x * torch.sigmoid(self.sharpness * x)
'''

TEST_COMPONENTS = """\
from dlcli.testing import Battery


class TestComponents(Battery):
    distribution = "$distribution"
"""

TEST_GATE = """\
import torch

from $module.gate import Gate


def test_it_is_torchs_silu_for_a_sharpness_of_one():
    x = torch.linspace(-5, 5, 101)
    torch.testing.assert_close(Gate(sharpness=1.0).build(1)(x), torch.nn.functional.silu(x))


def test_it_comes_close_to_relu():
    x = torch.linspace(-5, 5, 101)
    torch.testing.assert_close(Gate(sharpness=1e4).build(1)(x), torch.relu(x))
"""

README = """\
# $distribution

A plugin of dlcli.

    pip install -e '.[dev]'
    dlcli plugins list              # shows $component
    dlcli plugins show $component   # its page
    pytest                          # every law that a component must hold, and its formula

In a recipe:

```toml
[model]
architecture = "mlp"
activation = { name = "$component", sharpness = 2.0 }
```

Next: rename `$component` to what your component is (names are permanent once recipes cite them), in
`$module/__init__.py`, `$module/gate.py` and `tests/`; then add components, each in a file of its own.
"""

FILES = {
    "pyproject.toml": PYPROJECT,
    "README.md": README,
    "$module/__init__.py": INIT,
    "$module/gate.py": GATE,
    "tests/test_components.py": TEST_COMPONENTS,
    "tests/test_gate.py": TEST_GATE,
}
"""What is written, by path in the package's folder."""


def write_plugin(name: str, folder: Path) -> list[Path]:
    """Write a plugin package with one activation, whose tests pass as they are.

    Args:
        name: `dlcli-<topic>`, or the topic alone: lower-case words and digits joined by dashes.
        folder: Where the package's folder `dlcli-<topic>` is made.

    Returns:
        The files written.

    Raises:
        UsageError: The name is of another form, or the package's folder exists.
        StorageError: A file cannot be written.
    """
    topic = name.removeprefix(PREFIX)
    if not TOPIC.fullmatch(topic):
        raise UsageError(
            f"a plugin is named {PREFIX}<topic>, lower-case words and digits joined by dashes, such as "
            f"{PREFIX}audio-layers; got {name!r}"
        )
    package = folder / f"{PREFIX}{topic}"
    if package.exists():
        raise UsageError(f"{package} exists: choose another name, or move it away; nothing was written")
    module = f"{PREFIX}{topic}".replace("-", "_")
    component = f"{topic.replace('-', '_')}_gate"
    values = {"distribution": f"{PREFIX}{topic}", "topic": topic, "module": module, "component": component}
    files = {Template(path).substitute(values): Template(text).substitute(values) for path, text in FILES.items()}

    def fill(temporary: Path) -> None:
        for path, text in files.items():
            (temporary / path).parent.mkdir(exist_ok=True)
            (temporary / path).write_text(text, encoding="utf-8")

    atomic.write_folder(package, fill)
    return [package / path for path in files]
