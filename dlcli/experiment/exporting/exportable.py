"""A run's model as exporters get it: recorded rows, metadata and card, members computed by batched operations."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dlcli.contracts.exporter import DESCRIPTION_KEY, Exportable
from dlcli.data.hdf5 import licence_of, open_hdf5
from dlcli.data.origin import origin_of_run
from dlcli.errors import UsageError
from dlcli.experiment.address import Address
from dlcli.experiment.environment import versions
from dlcli.experiment.exporting.model_card import model_card, title_of
from dlcli.experiment.exporting.rows import ExportRows, varying_steps
from dlcli.experiment.models.answering import Answering
from dlcli.experiment.models.batched_model import batched
from dlcli.experiment.models.interface import IMPORTED_KEY, Interface
from dlcli.experiment.models.model_folder import AnyModel
from dlcli.layers.program import CannotExportError
from dlcli.recipe.model import Recipe


def exportable_of(
    address: Address, model: AnyModel, interface: Interface, recipe: Recipe, rows: ExportRows
) -> Exportable:
    """Return a run's model as exporters get it.

    Args:
        address: The run.
        model: Its model.
        interface: What it takes and gives.
        recipe: Its recipe, with the place of the data as it is now.
        rows: Rows of its data.

    Returns:
        The model, recorded only as far as members of one structure need it.

    Raises:
        CannotExportError: A member cannot be recorded.
    """
    example = rows.example()
    steps = varying_steps(Answering(model), interface.fields, example)
    module = Answering(batched(model, example, steps))
    facts = address.run.read()
    metadata = _metadata(address, interface, facts, recipe)
    sizes = {split: len(own) for split, own in rows.dataset.splits.items()}
    card = model_card(address, model, facts, recipe, sizes)
    folder = address.trained_model()
    return Exportable(module, example, steps, interface.outputs, metadata, folder, card, rows.training_rows)


def cannot_export(error: CannotExportError, model: AnyModel) -> UsageError:
    """Return, for the user, which layer of which component cannot be exported, and what can hold it."""
    name = error.layer.removeprefix("model.")
    layer = f"the layer {name} ({type(error.module).__name__}) of " if name and error.module else ""
    architecture = model.description.architecture.name
    return UsageError(
        f"{layer}the architecture {architecture!r} cannot be exported: {error.cause}; --format safetensors keeps it "
        "as it is, to be run with dlcli"
    )


def _metadata(address: Address, interface: Interface, facts: Mapping[str, Any], recipe: Recipe) -> dict[str, str]:
    with open_hdf5(Path(recipe.data.path)) as file:
        licence = licence_of(file)
    return {
        DESCRIPTION_KEY: interface.as_text(),
        IMPORTED_KEY: json.dumps(origin_of_run(facts), ensure_ascii=False),
        "classes": json.dumps(list(interface.classes), ensure_ascii=False),
        "columns": json.dumps(list(interface.columns), ensure_ascii=False),
        "task": str(interface.task),
        "run": title_of(address, facts),
        "finished": str(facts.get("finished")),
        "recipe_sha256": hashlib.sha256(address.run.recipe.read_bytes()).hexdigest(),
        "data_fingerprint": str(facts["data"]["fingerprint"]),
        "versions": json.dumps({"exported_with": versions(), "packages": facts.get("packages", {})}),
        **({"licence": licence} if licence else {}),
    }
