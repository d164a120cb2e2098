"""Outputs of any model, a network or a combination, on rows of a dataset."""

from collections.abc import Mapping

import torch
from torch import Tensor

from dlcli.contracts.batch import Batches
from dlcli.contracts.member import Member
from dlcli.experiment.models.combination import CombinedModel, answers
from dlcli.experiment.models.model import Model
from dlcli.experiment.models.model_folder import AnyModel
from dlcli.experiment.models.outputs import outputs_on
from dlcli.recipe.model import Recipe


class ModelOutputs:
    """Computes outputs of models, each field preprocessed once for all its rows.

    Args:
        batches: The dataset.
        rows: How many rows it has.
        device: Where to compute.
        recipe: Of the run: what a member must have besides its model, though nothing is trained.
    """

    def __init__(self, batches: Batches, rows: int, device: torch.device, recipe: Recipe) -> None:
        self._batches, self._rows, self._device, self._recipe = batches, rows, device, recipe

    def __call__(self, model: AnyModel, rows: Tensor) -> Tensor:
        """Return a model's outputs (R, …, O) on the CPU, in the order of the rows.

        Args:
            model: The model.
            rows: Rows of the dataset, int64 (R,); one at least.

        Returns:
            The outputs.
        """
        return self._of(model, rows, {})

    def of_members(self, model: CombinedModel, rows: Tensor) -> dict[str, Tensor]:
        """Return the outputs of every member of a combination, by identity; arguments as above."""
        found: dict[str, Tensor] = {}
        for identity in model.wiring.everybody:
            fed = {
                name: self._over_all(answers(groups, found, model.task), rows)
                for name, groups in model.wiring.fed.get(identity, {}).items()
            }
            found[identity] = self._of(model.part(identity), rows, fed)
        return found

    def judge(self, model: AnyModel, rows: Tensor) -> Member:
        """Return whose task, loss and metrics a model is judged by, as a member that takes the dataset's raw fields."""
        while isinstance(model, CombinedModel):
            model = model.part(next(i for i in model.wiring.everybody if i not in model.wiring.fed))
        return self.member(model, rows)

    def member(self, model: Model, rows: Tensor, fed: Mapping[str, Tensor] | None = None) -> Member:
        """Return what stands for the member that a network was, as far as batches and figures need it."""
        description = model.description
        return Member(
            identity="",
            seed=0,
            architecture=description.architecture,
            io=description.io,
            loss=description.loss,
            optimizer=self._recipe.train.optimizer,
            schedule=self._recipe.train.schedule,
            training_rows=rows,
            epochs=1,
            batch_size=1,
            metrics=description.metrics,
            preprocessing=model.preprocessing,
            input_columns={name: torch.tensor(columns) for name, columns in description.columns.items()},
            fed=fed or {},
        )

    def _of(self, model: AnyModel, rows: Tensor, fed: Mapping[str, Tensor]) -> Tensor:
        if isinstance(model, CombinedModel):
            outputs = self.of_members(model, rows)
            with torch.no_grad():
                return model.combine([outputs[identity] for identity in model.wiring.members])
        network = model.network.to(self._device)
        return outputs_on(network, self.member(model, rows, fed), self._batches, rows)

    def _over_all(self, values: Tensor, rows: Tensor) -> Tensor:
        """Return values of some rows as a tensor over all rows of the dataset."""
        whole = values.new_zeros((self._rows, *values.shape[1:]))
        whole[rows] = values
        return whole
