"""The metric `precision`."""

from typing import ClassVar

from torch import Tensor

from dlcli.builtin.metrics.counts import ClassShare


class Precision(ClassShare):
    """Precision: the share of answers "class c" that are right, right / predicted; for costly false alarms.

    Answers are the largest output, or logits > 0. 0 / 0 is 0, as scikit-learn's with zero_division = 0; a class that
    is neither true nor answered anywhere is left out of the mean, a label is not.

    Args:
        average: `macro`, the mean over classes or labels, or `micro`, of all their answers together, which for
            multiclass is the accuracy. None: binary the figure of y = 1, otherwise `macro`; where given for binary,
            y = 0 and y = 1 are two classes.

    Source: sklearn.metrics.precision_score.
    """

    name: ClassVar[str] = "precision"

    def share(self, statistics: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return right and all answers."""
        return statistics["right"], statistics["predicted"]
