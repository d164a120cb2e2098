"""Exporters whose artefacts are JSON files that answer with what they are given; an importer that may lie."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from dlcli import Artefact, DataError, Exportable, Exporter, Importer, SourceField


class EchoArtefact(Artefact):
    """Answers with the field `x`: as targets, as logits of labels, or per position as the logit of the first of two."""

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the outputs."""
        interface = json.loads(self.metadata["dlcli"])
        x = inputs["x"].float()
        if self.metadata.get("sin") == "narrow":
            return {"probabilities": x[:, :1]}
        if self.metadata.get("sin") == "broken":
            return {"probabilities": inputs["nothing"]}
        if interface["task"] == "regression":
            return {"prediction": x, "spread": x.abs()}
        if interface["task"] == "multilabel":
            return {"logits": x, "probabilities": torch.sigmoid(x)}
        if x.shape[1] > 7:
            raise RuntimeError("too long for me")
        logits = torch.stack([x, torch.zeros_like(x)], dim=-1)
        return {"logits": logits, "probabilities": logits.softmax(dim=-1)}


class Echo(Exporter):
    """Writes JSON.

    It has no parameters.
    """

    name: ClassVar[str] = "echo"
    suffix: ClassVar[str] = ".echo"

    def write(self, model: Exportable, path: Path) -> None:
        """Write the metadata."""
        path.write_text(json.dumps(dict(model.metadata)))

    def open(self, path: Path) -> Artefact:
        """Read the metadata."""
        try:
            return EchoArtefact(json.loads(path.read_text()))
        except ValueError as error:
            raise DataError(f"{path} is damaged: {error}") from None


class EchoFolder(Echo):
    """Writes a folder."""

    name: ClassVar[str] = "echo_folder"
    suffix: ClassVar[str] = ""

    def open(self, path: Path) -> Artefact:
        """Read the metadata of `model.json`."""
        return super().open(path / "model.json")


class Machine(Echo):
    """Would run machine code."""

    name: ClassVar[str] = "machine"
    suffix: ClassVar[str] = ".machine"
    foreign_code: ClassVar[bool] = True

    def open(self, path: Path) -> Artefact:
        """Must not be called."""
        raise AssertionError("its code was run")


class Liar(Importer):
    """Says that rows are of two columns, and gives as many as the file says."""

    name: ClassVar[str] = "liar"
    suffixes: ClassVar[tuple[str, ...]] = (".lie",)

    def fields(self, source: Path) -> tuple[SourceField, ...]:
        """Return the field `x`."""
        return (SourceField("x", "here", (2,), "float32"),)

    def chunks(self, source: Path, fields: Sequence[SourceField], rows: int) -> Iterator[Mapping[str, np.ndarray]]:
        """Return five rows, in two chunks."""
        columns = int(source.read_text())
        for count in (3, 2):
            yield {field.name: np.full((count, columns), columns, "float32") for field in fields}


class OtherLiar(Liar):
    """Another package's."""
