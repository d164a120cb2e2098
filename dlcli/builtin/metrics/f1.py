"""The metric `f1`."""

from typing import ClassVar

from torch import Tensor

from dlcli.builtin.metrics.counts import ClassShare


class F1(ClassShare):
    """F1 score: the harmonic mean of precision and recall, 2 right / (predicted + true); for rare classes.

    Answers are the largest output, or logits > 0. 0 / 0 is 0, as scikit-learn's with zero_division = 0; a class that
    is neither true nor answered anywhere is left out of the mean, a label is not.

    Args:
        average: `macro`, the mean over classes or labels, or `micro`, of all their answers together, which for
            multiclass is the accuracy. None: binary the figure of y = 1, otherwise `macro`; where given for binary,
            y = 0 and y = 1 are two classes.

    Source: sklearn.metrics.f1_score.
    """

    name: ClassVar[str] = "f1"

    def share(self, statistics: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return twice the right answers, and answers and rows of the class together."""
        return 2 * statistics["right"], statistics["predicted"] + statistics["true"]
