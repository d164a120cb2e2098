from typing import ClassVar

import pytest
import torch

from dlcli import DlcliError, Exporter, Importer
from dlcli.testing.law import Law
from dlcli.testing.laws import formats


class Reads(Importer):
    name: ClassVar[str] = "reads"
    suffixes: ClassVar[tuple] = (".csv", ".tsv")

    def fields(self, source):
        if not source.exists():
            raise DlcliError(f"there is no file {source}")
        return ()

    def chunks(self, source):
        return iter(())


class NoDot(Reads):
    suffixes: ClassVar[tuple] = ("csv",)


class SilentAboutMissing(Reads):
    def fields(self, source):
        return ()


class Program(Exporter):
    """Writes a program of torch."""

    name: ClassVar[str] = "program"
    suffix: ClassVar[str] = ".pt2"

    def write(self, model, inputs, path, metadata):
        shapes = {key: {0: torch.export.Dim.AUTO} for key in inputs}
        torch.export.save(torch.export.export(model, (), dict(inputs), dynamic_shapes=shapes), path)

    def run(self, path, inputs):
        with torch.no_grad():
            return torch.export.load(path).module()(**inputs)


class UpperCase(Program):
    suffix: ClassVar[str] = "PT2"


class WritesNothing(Program):
    def write(self, model, inputs, path, metadata):
        pass


class WrongName(Program):
    def run(self, path, inputs):
        return {"logits": super().run(path, inputs)["output"]}


class WrongNumbers(Program):
    def run(self, path, inputs):
        return {"output": super().run(path, inputs)["output"] + 1}


BROKEN = [
    (formats.names_its_suffixes, NoDot, "the suffix 'csv' is not like"),
    (formats.names_its_suffixes, UpperCase, "the suffix 'PT2' is not like"),
    (formats.names_a_missing_source, SilentAboutMissing, "DID NOT RAISE"),
    (formats.runs_what_it_writes, WritesNothing, "leaves nothing at the path"),
    (formats.runs_what_it_writes, WrongName, r"the outputs are \['logits'\], expected output"),
    (formats.runs_what_it_writes, WrongNumbers, "gives other outputs for 4 rows"),
]


@pytest.mark.parametrize(("check", "cls", "match"), BROKEN)
def test_a_broken_component_fails(case_of, check, cls, match):
    with pytest.raises((AssertionError, pytest.fail.Exception), match=match):
        Law(check)(case_of(cls))


@pytest.mark.parametrize("cls", [Reads, Program])
def test_a_sound_component_passes(case_of, cls):
    laws = [law for law in formats.LAWS if law.binds(cls())]
    assert laws
    for law in laws:
        law(case_of(cls))


def test_every_law_can_fail():
    assert {check for check, _, _ in BROKEN} == {law.check for law in formats.LAWS}
