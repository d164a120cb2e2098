import io
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self, final

import numpy as np
from pydantic import Field, model_validator

from dlcli import DataError, Importer, SourceField
from dlcli.builtin.importers.delimited import path_opener
from dlcli.builtin.importers.encodings import settled_encoding

UNKNOWN = "<unknown>"
"""The class of words that are not among the most frequent ones."""
_READ_CHARACTERS = 2**20
_WORD = re.compile(r"\w+|[^\w\s]|\n")


@final
class Text(Importer):
    """Reads a text as windows of tokens `x` (N×T), and what follows as their target `y`.

    Window i begins at token iS. For each of its tokens the target is the one after it, (N×T); or, where only the next
    is asked for, the token behind the window, (N,). What is left at the end is left out. The vocabulary, in the
    attribute `classes`, is all characters in order, or the most frequent words. Windows follow one another, so the last
    ones are kept for validation.

    Args:
        tokens: What a token is.
        window: Tokens of a row, T.
        predict: What follows `each` token of a window, or the `next` one behind it.
        stride: Tokens from one window to the next, S; by default T for `each`, so that none is seen twice, and 1 for
            `next`, so that each is asked for once.
        vocabulary: Most words to tell apart; all others are one, <unknown>.
        encoding: How bytes stand for characters.
    """

    name: ClassVar[str] = "text"
    suffixes: ClassVar[tuple[str, ...]] = (".txt", ".txt.gz")
    ordered: ClassVar[bool] = True

    tokens: Literal["characters", "words"] = Field(default="characters", description="What a token is")
    window: Annotated[int, Field(ge=1, le=65_536)] = Field(default=128, description="Tokens of a row, T")
    predict: Literal["each", "next"] = Field(
        default="each", description="What follows each token of a window, or the next one behind it"
    )
    stride: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="Tokens from one window to the next; by default the window's for each, 1 for next"
    )
    vocabulary: Annotated[int, Field(ge=2, le=60_000)] = Field(
        default=20_000, description="Most words to tell apart; all others are one, <unknown>"
    )
    encoding: str = Field(default="utf-8", description="How bytes stand for characters")

    @model_validator(mode="after")
    def _no_gaps(self) -> Self:
        if self.stride is not None and self.stride > self.window:
            raise ValueError(f"stride is {self.stride}, but a window has {self.window} tokens: some would be in none")
        return self

    def fields(self, source: Path) -> tuple[SourceField, ...]:
        """Return `x` and `y`; reads the text once, for its vocabulary.

        Args:
            source: The file.

        Returns:
            The fields.

        Raises:
            DataError: It is missing, damaged or shorter than a window.
        """
        counts: Counter[str] = Counter()
        for tokens in self._tokens(source):
            counts.update(tokens)
        rows = self._windows(counts.total())
        if rows < 1:
            raise DataError(f"{source} has {counts.total()} tokens; a window of {self.window} needs one more than that")
        if self.tokens == "characters" or len(counts) <= self.vocabulary:
            classes = tuple(sorted(counts))
        else:
            kept = sorted(counts, key=lambda word: (-counts[word], word))[: self.vocabulary - 1]
            classes = (*sorted(kept), UNKNOWN)
        dtype = np.min_scalar_type(len(classes)).name
        x = SourceField("x", "x", (self.window,), dtype, rows, "tokens", classes, role="input")
        y = replace(x, name="y", where="y", role="target")
        return x, y if self.predict == "each" else replace(y, shape=(), kind="categorical")

    @property
    def _stride(self) -> int:
        return self.stride or (self.window if self.predict == "each" else 1)

    def _windows(self, tokens: int) -> int:
        """Return how many windows, with what follows, so many tokens give."""
        return max(0, (tokens - self.window - 1) // self._stride + 1)

    def chunks(self, source: Path, fields: Sequence[SourceField], rows: int) -> Iterator[Mapping[str, np.ndarray]]:
        """Return windows in order, some at a time.

        Args:
            source: The file.
            fields: Those to read.
            rows: How many at a time, at most; fewer where that suits the text.

        Yields:
            Mapping[str, np.ndarray]: One array a field and time.

        Raises:
            DataError: The text changed since `fields` looked at it.
        """
        codes = {token: code for code, token in enumerate(fields[0].classes)}
        unknown = codes.get(UNKNOWN)
        waiting = np.empty(0, fields[0].dtype)
        for tokens in self._tokens(source):
            found = [codes.get(token, unknown) for token in tokens]
            if None in found:
                raise DataError(f"{source} changed while it was read; import it again")
            waiting = np.concatenate([waiting, np.array(found, fields[0].dtype)])
            count = self._windows(len(waiting))
            if not count:
                continue
            windows = np.lib.stride_tricks.sliding_window_view(waiting, self.window + 1)[:: self._stride]
            for start in range(0, count, rows):
                some = windows[start : min(count, start + rows)]
                made = {"x": some[:, :-1], "y": some[:, 1:] if self.predict == "each" else some[:, -1]}
                yield {field.name: made[field.name].copy() for field in fields}
            waiting = waiting[count * self._stride :]

    def notes(self, source: Path) -> tuple[str, ...]:
        """Return what a target of each token asks of a network.

        Args:
            source: The file.

        Returns:
            One sentence, or none.
        """
        if self.predict == "next":
            return ()
        return (
            "each token has a target, so training needs a network that answers every token (else: --set predict=next)",
        )

    def _tokens(self, source: Path) -> Iterator[Sequence[str]]:
        """Yield tokens, many at a time; a word is never cut."""
        if not source.is_file():
            raise DataError(f"there is no file {source}; check the path")
        place = 0
        encoding = settled_encoding(str(source), path_opener(source), self.encoding)
        try:
            with path_opener(source)() as stream, io.TextIOWrapper(stream, encoding=encoding) as text:
                if self.tokens == "characters":
                    while part := text.read(_READ_CHARACTERS):
                        if "\0" in part:
                            raise DataError(f"{source} holds a zero byte at character {place + part.index(chr(0))}")
                        place += len(part)
                        yield part
                    return
                while lines := text.readlines(_READ_CHARACTERS):
                    yield list(chain.from_iterable(map(_WORD.findall, lines)))
        except UnicodeDecodeError as cause:
            raise DataError(
                f"{source} is no text of {self.encoding}: {cause.reason}; --set encoding says another"
            ) from None
        except (OSError, EOFError) as cause:
            raise DataError(f"{source} cannot be read: {cause}; copy it again") from cause
