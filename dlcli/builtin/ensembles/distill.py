"""The strategy `distill`."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from dlcli import (
    Architecture,
    Context,
    Ensemble,
    KeptStates,
    MeanOfMembers,
    MemberSpecification,
    Plan,
    SingleMember,
    Task,
)
from dlcli.builtin.losses.distillation import Distillation, pack


class Distill(Ensemble):
    """One network trained on what a given model, most often an ensemble, says of the training rows.

    It minimises α · T² · cross-entropy(teacher at T, student at T) + (1 − α) · cross-entropy(truth, student), with
    logits divided by the temperature T; for regression α (ŷ − teacher)² + (1 − α)(ŷ − y)². Figures are by the recipe's
    own loss and the truth. Where the teacher is a model of folds, each training row's answer is that of the fold that
    has not seen it. Soft answers take longer to learn than classes, and do not invite overfitting as these do: by
    default the student trains three times the recipe's epochs, and its last epoch is kept.

    Args:
        student: Its architecture; by default the recipe's.
        temperature: T > 0; the larger, the more the teacher's small probabilities count. Without effect for
            regression.
        teacher: α in [0, 1], the teacher's share.
        epochs_factor: The student's epochs as a multiple of `train.epochs`, > 0.

    Raises:
        ValueError: From the plan: not exactly one model is given.

    Source: Hinton et al. 2015, "Distilling the knowledge in a neural network"; Beyer et al. 2022, "Knowledge
    distillation: a good teacher is patient and consistent", for the longer training.
    """

    name: ClassVar[str] = "distill"
    counts: ClassVar[str | None] = None
    takes: ClassVar[Literal["trained", "given", "either"]] = "given"

    student: Architecture | None = Field(None, description="the student's architecture; the recipe's by default")
    temperature: float = Field(3.0, gt=0, description="what both sides' logits are divided by")
    teacher: float = Field(0.9, ge=0, le=1, description="share of the teacher's answers; the rest is the truth's")
    epochs_factor: float = Field(3.0, gt=0, description="the student's epochs as a multiple of the recipe's")

    def plan(self, context: Context) -> Plan:
        """Train the student."""
        if len(context.given) != 1:
            given = ", ".join(member.identity for member in context.given) or "none"
            raise ValueError(
                f"distill learns from exactly one model, but {len(context.given)} are given ({given}); combine them "
                "first, by voting for instance, and give that run"
            )
        rows = context.training_rows
        answers = context.outputs_of(context.given[0].identity, rows)
        known = pack(answers, context.target(rows), context.task)
        target = known.new_zeros(context.rows, *known.shape[1:])
        target[rows] = known
        loss = Distillation(task=context.task, temperature=self.temperature, teacher=self.teacher)
        wanted = MemberSpecification(
            "student",
            architecture=self.student,
            training_loss=loss,
            training_target=target,
            keep=KeptStates("last"),
            epochs=max(round(self.epochs_factor * context.epochs), 1),
        )
        (student,) = yield [wanted]
        return SingleMember(student.identity)

    def combine(self, task: Task, settings: Mapping[str, object], state: Mapping[str, Tensor]) -> nn.Module:
        """Build what gives a single network's outputs back."""
        return MeanOfMembers(task)
