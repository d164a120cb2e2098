"""The input layer `embed`."""

from typing import ClassVar

from pydantic import Field as Parameter
from torch import nn

from dlcli import Field, InputLayer


class Embed(InputLayer):
    """Gives each category, or token, D learned numbers.

    For categorical fields and tokens, with `classes`. Without a width it is round(1.6 · C^0.56) for C classes, at most
    600. The numbers start as N(0, 1).

    Args:
        width: Numbers of a category, D ≥ 1; by default as above.

    Shape:
        (B,) integers give features (B, D); (B, T) tokens a sequence (B, T, D).

    Raises:
        ValueError: The field has no `classes`.

    Source: Guo and Berkhahn 2016, "Entity embeddings of categorical variables"; the width is fastai's rule.
    """

    name: ClassVar[str] = "embed"

    width: int | None = Parameter(None, ge=1, description="numbers of a category; by default by how many there are")

    def accepts(self, field: Field) -> bool:
        """Return whether the field holds categories or tokens."""
        return field.kind in ("categorical", "tokens")

    def output(self, field: Field) -> Field:
        """Return features (D,), named `field[0]` and so on, or a sequence (T, D)."""
        width = self._width(field)
        kind = "features" if field.kind == "categorical" else "sequence"
        names = tuple(f"{field.name}[{place}]" for place in range(width))
        changed = {"kind": kind, "shape": (*field.shape, width), "dtype": "float32", "classes": (), "names": names}
        return Field(**{**vars(field), **changed})

    def build(self, field: Field) -> nn.Module:
        """Build a table of all categories."""
        return nn.Embedding(len(field.classes), self._width(field))

    def _width(self, field: Field) -> int:
        count = len(field.classes)
        if not count:
            raise ValueError(
                f"embed needs to know which values {field.name} has; give it the attribute `classes`, their names in "
                "the order of their numbers"
            )
        return self.width or min(600, round(1.6 * count**0.56))
