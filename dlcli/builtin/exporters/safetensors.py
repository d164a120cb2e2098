"""The exporter `safetensors`."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

import dlcli
from dlcli import DESCRIPTION_KEY, Artefact, DataError, Exportable, Exporter

FILES = ("model.safetensors", "model.json")
SCRIPT = '''"""Rebuild the model: a torch module, raw fields in, logits out; of regression targets in their own units.

Needs dlcli and the packages that model.json names, and executes nothing else than these.
"""

from pathlib import Path

import dlcli

model = dlcli.load(Path(__file__).parent)
'''


class ModelFolder(Artefact):
    """A model folder, ready to run.

    Args:
        model: The model with its answers.
        metadata: The texts that were kept beside it.
    """

    def __init__(self, model: "dlcli.Answering", metadata: Mapping[str, str]) -> None:
        super().__init__({**metadata, DESCRIPTION_KEY: model.interface.as_text()})
        self._model = model

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Compute outputs."""
        interface = self._model.interface
        try:
            with torch.no_grad():
                found = self._model(*(inputs[field.name] for field in interface.fields))
        except (RuntimeError, ValueError, IndexError) as error:
            raise DataError(f"the model cannot answer these rows: {str(error).strip().splitlines()[0]}") from error
        return dict(zip(interface.outputs, found, strict=True))


class SafetensorsFolder(Exporter):
    """A folder as model hubs expect it: weights in `model.safetensors`, what to build in `model.json`, a model card.

    It is the only format that keeps the network as it is, so that it can be trained further; running it takes dlcli and
    the plugins that it was made with. `load.py` rebuilds it in a line; `README.md` is the card. `dlcli.load(FOLDER)`
    does the same, and executes nothing in the folder.

    Source: Hugging Face, "safetensors", https://huggingface.co/docs/safetensors.
    """

    name: ClassVar[str] = "safetensors"
    suffix: ClassVar[str] = ""

    def write(self, model: Exportable, path: Path) -> None:
        """Copy the model folder, add the metadata to `model.json`, and write the card and the script beside it."""
        path.mkdir(exist_ok=True)
        weights, description = FILES
        shutil.copyfile(model.folder / weights, path / weights)
        table = json.loads((model.folder / description).read_text(encoding="utf-8"))
        table["metadata"] = {key: text for key, text in model.metadata.items() if key != DESCRIPTION_KEY}
        (path / description).write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
        (path / "README.md").write_text(model.card, encoding="utf-8")
        (path / "load.py").write_text(SCRIPT, encoding="utf-8")

    def open(self, path: Path) -> Artefact:
        """Read a model folder by its two files; `load.py` is not executed."""
        if not all((path / name).exists() for name in FILES):
            raise DataError(f"{path} is no folder of a model: it holds no {' and '.join(FILES)}; export the run again")
        model = dlcli.load(path)
        metadata = json.loads((path / FILES[1]).read_text(encoding="utf-8")).get("metadata", {})
        if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
            raise DataError(f"{path / FILES[1]} is damaged: its metadata are no table of texts; export the run again")
        return ModelFolder(dlcli.Answering(model), metadata)
