from typing import ClassVar

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from dlcli import Artefact, DlcliError, Exporter, Importer
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


class Weights(Artefact):
    """The weights of a module with one layer, and what it does with them."""

    def __init__(self, tensors, metadata):
        super().__init__(metadata)
        self.tensors = tensors

    def run(self, inputs):
        logits = torch.nn.functional.linear(inputs["x"], self.tensors["weight"], self.tensors["bias"])
        return {"logits": logits, "probabilities": logits.softmax(-1)}


class Program(Exporter):
    """Writes the weights of logistic regression, and knows what to do with them."""

    name: ClassVar[str] = "program"
    suffix: ClassVar[str] = ".program"

    def write(self, model, path):
        (weight,) = (p.detach() for p in model.module.parameters() if p.ndim == 2)
        (bias,) = (p.detach() for p in model.module.parameters() if p.ndim == 1)
        save_file({"weight": weight.clone(), "bias": bias.clone()}, path, dict(model.metadata))

    def open(self, path):
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in ("weight", "bias")}
            return Weights(tensors, file.metadata() or {})


class UpperCase(Program):
    suffix: ClassVar[str] = "PT2"


class WritesNothing(Program):
    def write(self, model, path):
        pass


class ForgetsMetadata(Program):
    def open(self, path):
        return Weights(super().open(path).tensors, {})


class WrongName(Program):
    def open(self, path):
        found = super().open(path)
        found.run = lambda inputs: {"scores": inputs["x"]}
        return found


class WrongNumbers(Program):
    def open(self, path):
        found = super().open(path)
        found.tensors["bias"] = found.tensors["bias"] + 1
        return found


class OneRowOnly(Program):
    def open(self, path):
        found = super().open(path)
        run = found.run
        found.run = lambda inputs: {k: v[:1].expand(len(inputs["x"]), -1) for k, v in run(inputs).items()}
        return found


BROKEN = [
    (formats.names_its_suffixes, NoDot, "the suffix 'csv' is not like"),
    (formats.names_its_suffixes, UpperCase, "the suffix 'PT2' is not like"),
    (formats.names_a_missing_source, SilentAboutMissing, "DID NOT RAISE"),
    (formats.runs_what_it_writes, WritesNothing, "No such file"),
    (formats.runs_what_it_writes, ForgetsMetadata, "does not keep the metadata"),
    (formats.runs_what_it_writes, WrongName, "gives scores, expected logits, probabilities"),
    (formats.runs_what_it_writes, WrongNumbers, "the exported model differs from its source"),
    (formats.runs_what_it_writes, OneRowOnly, "the exported model differs from its source"),
]


@pytest.mark.parametrize(("check", "cls", "match"), BROKEN)
def test_a_broken_component_fails(case_of, check, cls, match):
    with pytest.raises((AssertionError, pytest.fail.Exception, DlcliError, OSError), match=match):
        Law(check)(case_of(cls))


@pytest.mark.parametrize("cls", [Reads, Program])
def test_a_sound_component_passes(case_of, cls):
    laws = [law for law in formats.LAWS if law.binds(cls())]
    assert laws
    for law in laws:
        law(case_of(cls))


def test_every_law_can_fail():
    assert {check for check, _, _ in BROKEN} == {law.check for law in formats.LAWS}
