"""Laws of what reads and writes foreign formats: importers and exporters."""

import re
import tempfile
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from dlcli import DlcliError
from dlcli.testing.law import Case, Law, assert_close

SUFFIX = re.compile(r"\.[a-z0-9]+")


def names_its_suffixes(case: Case) -> None:
    """Suffixes of files are lower case and begin with a dot."""
    component = case.component
    for suffix in component.suffixes if case.kind == "importer" else (component.suffix,):
        assert SUFFIX.fullmatch(suffix), f"{case.label}: the suffix {suffix!r} is not like '.csv'"


def names_a_missing_source(case: Case) -> None:
    """A source that does not exist is an error that names it."""
    source = Path("no-such-source").with_suffix(case.component.suffixes[0])
    with pytest.raises((DlcliError, OSError), match="no-such-source"):
        case.component.fields(source)


class Doubled(nn.Module):
    """A tiny model: raw rows in, a named output out."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return the named output."""
        return {"output": 2.0 * self.layer(x)}


def runs_what_it_writes(case: Case) -> None:
    """What it writes gives the model's outputs, for other numbers of rows too."""
    model = Doubled().eval()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"model{case.component.suffix}")
        case.component.write(model, {"x": torch.randn(4, 5)}, path, {"classes": "a,b,c"})
        assert path.exists(), f"{case.label} leaves nothing at the path that it was given"
        for rows in (4, 1, 7):
            x = torch.randn(rows, 5)
            found = case.component.run(path, {"x": x})
            assert found.keys() == {"output"}, f"{case.label}: the outputs are {sorted(found)}, expected output"
            message = f"{case.label}: what it wrote gives other outputs for {rows} rows"
            assert_close(found["output"], model(x)["output"].detach(), message)


LAWS = (
    Law(names_its_suffixes, ("importer", "exporter")),
    Law(names_a_missing_source, ("importer",)),
    Law(runs_what_it_writes, ("exporter",)),
)
