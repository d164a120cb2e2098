"""Laws of what reads and writes foreign formats: importers and exporters."""

import re
import tempfile
from pathlib import Path

import pytest
import torch

import dlcli
from dlcli import DESCRIPTION_KEY, DlcliError
from dlcli.testing.law import Case, Law, assert_close
from dlcli.testing.tiny import tiny_dataset

SUFFIX = re.compile(r"(?:\.[a-z0-9]+)+")


def names_its_suffixes(case: Case) -> None:
    """Suffixes of files are lower case and begin with a dot; an exporter's is empty where it writes a folder."""
    component = case.component
    for suffix in component.suffixes if case.kind == "importer" else (component.suffix,):
        if case.kind == "exporter" and not suffix:
            continue
        assert SUFFIX.fullmatch(suffix), f"{case.label}: the suffix {suffix!r} is not like '.csv'"


def names_a_missing_source(case: Case) -> None:
    """A source that does not exist is an error that names it."""
    source = Path("no-such-source").with_suffix(next(iter(case.component.suffixes), ""))
    with pytest.raises((DlcliError, OSError), match="no-such-source"):
        case.component.fields(source)


def runs_what_it_writes(case: Case) -> None:
    """What it writes of a run says what the run says, for any number of rows, and carries its metadata."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        train = {"epochs": 1, "batch_size": 8}
        recipe = {"name": "tiny", "data": {"path": str(tiny_dataset(folder / "tiny.h5"))}, "train": train}
        run = dlcli.train({**recipe, "model": {"architecture": "dlcli:logistic"}}, runs=folder).run
        found = dlcli.export(run, format=case.component, output=folder / f"model{case.component.suffix}")
        assert found.path.exists(), f"{case.label} leaves nothing at the path that it was given"
        artefact = case.component.open(found.path)
        kept = {DESCRIPTION_KEY, "run", "imported"} <= artefact.metadata.keys()
        assert kept, f"{case.label} does not keep the metadata"
        source = dlcli.load(run)
        for rows in (4, 1, 7):
            x = torch.randn(rows, 5, generator=case.generator())
            message = f"{case.label}: what it wrote gives other outputs for {rows} rows"
            assert_close(artefact.run({"x": x})["probabilities"], source.probabilities(x), message)


LAWS = (
    Law(names_its_suffixes, ("importer", "exporter")),
    Law(names_a_missing_source, ("importer",)),
    Law(runs_what_it_writes, ("exporter",)),
)
