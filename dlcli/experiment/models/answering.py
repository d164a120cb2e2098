"""A model as others run it: raw fields in, named answers out."""

from torch import Tensor, nn

from dlcli.contracts.component import implements
from dlcli.contracts.loss import Loss
from dlcli.contracts.task import Task, probabilities
from dlcli.data.missing import may_be_missing
from dlcli.experiment.models.batched_model import divided
from dlcli.experiment.models.combination import CombinedModel
from dlcli.experiment.models.interface import LOGITS, PREDICTION, PROBABILITIES, SPREAD, Interface
from dlcli.experiment.models.model import Model
from dlcli.experiment.models.model_folder import AnyModel


def interface_of(model: AnyModel) -> Interface:
    """Return what a model takes, and what `Answering` makes of it."""
    description = model.description
    several = isinstance(model, CombinedModel) and len(model.speakers) > 1
    outputs = (LOGITS, PROBABILITIES) if model.task.classifies else (PREDICTION,)
    return Interface(
        fields=description.fields,
        target=description.target,
        task=model.task,
        per_position=description.io.per_position,
        classes=model.classes,
        outputs=(*outputs, SPREAD) if several or implements(description.loss, "spread") else outputs,
        missing=_missing(model),
    )


def _missing(model: AnyModel) -> tuple[str, ...]:
    """Return the fields whose missing values are filled in by every network that is given them."""
    networks = [part.description for part in model.modules() if isinstance(part, Model)]
    return tuple(
        field.name
        for field in model.description.fields
        if all(may_be_missing(field, own.preprocess.get(field.name, ())) for own in networks if field in own.fields)
    )


def spread_of_rows(outputs: Tensor, task: Task, loss: Loss) -> Tensor:
    """Return how far members differ on each row: √(mean_m (p_m − p̄)²) of their probabilities, or of their targets.

    Where a loss says how far a target may be from its prediction, that is in it: √(mean_m σ_m² + mean_m (μ_m − μ̄)²),
    the standard deviation of the members' mixture, and of one member its σ.

    Args:
        outputs: Members' outputs (M, B, …, O).
        task: How outputs are read.
        loss: What they were trained with.

    Returns:
        Standard deviations (B, …, O), in the unit of probabilities or of the targets.
    """
    differ = probabilities(loss.prediction(outputs), task).std(dim=0, correction=0)
    own = loss.spread(outputs)
    return differ if own is None else (own.square().mean(dim=0) + differ.square()).sqrt()


class Answering(nn.Module):
    """A model with its answers beside its outputs; in eval mode.

    Args:
        model: A run's model.

    Shape:
        Raw fields (B, …), in the order of the interface's `fields`, in; out come its `outputs` (B, …, O): logits and
        probabilities, one sigmoid column for binary, or the prediction in the target's units; of several members that
        answer by themselves also their spread, and that of a loss that tells it.
    """

    def __init__(self, model: AnyModel) -> None:
        super().__init__()
        self.model = model
        self.interface = interface_of(model)
        self.eval()

    def forward(self, *fields: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs in the order of the interface."""
        inputs, extra = divided(self.model.description, fields)
        if isinstance(self.model, CombinedModel):
            return self.answers(*self.model.combined_and_speaking(*inputs, **extra))
        return self.answers(self.model.raw_outputs(*inputs, **extra), None)

    def answers(self, outputs: Tensor, speaking: Tensor | None) -> tuple[Tensor, ...]:
        """Return outputs with what they say.

        Args:
            outputs: The model's outputs (B, …, O), as its loss takes them.
            speaking: The outputs of members that answer by themselves (M, B, …, O); None where there are no two.

        Returns:
            As `forward`.
        """
        task, loss = self.interface.task, self.model.description.loss
        said = (outputs, probabilities(outputs, task)) if task.classifies else (loss.prediction(outputs),)
        if SPREAD not in self.interface.outputs:
            return said
        return (*said, spread_of_rows(outputs[None] if speaking is None else speaking, task, loss))
