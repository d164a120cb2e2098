"""What the columns of a delimited file hold: told apart in one pass, in bounded memory, and turned into arrays."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

import numpy as np

from dlcli.builtin.importers.delimited import Delimited

MISSING_CLASS = "missing"
"""The class of a category that is missing."""
Taken = Literal["numeric", "categorical", "time"]
_EXACT = 2**24
"""Up to here float32 holds every whole number."""
_FEW = 20
"""Distinct numbers that are counted, at most."""


class NotANumberError(ValueError):
    """A cell is neither a number nor missing.

    Args:
        place: Its place among the cells.
    """

    def __init__(self, place: int) -> None:
        self.place = place


def parse_numbers(cells: Sequence[str], missing: frozenset[str]) -> np.ndarray:
    """Return cells as numbers.

    Args:
        cells: Texts.
        missing: What stands for a missing value.

    Returns:
        float64, NaN where a value is missing.

    Raises:
        NotANumberError: A cell is something else; infinity counts as such.
    """
    # Most marks are no numbers, and `float` finds those out; only where one is, each cell must be compared first.
    if not any(map(_reads_as_number, missing)) or missing.isdisjoint(cells):
        try:
            values = np.array(list(map(float, cells)))
        except ValueError:
            pass  # the slow way finds out which, or that blanks are around what stands for missing
        else:
            if np.isfinite(values).all() and "_" not in "".join(cells):
                return values
    return np.array([_number(cell.strip(), place, missing) for place, cell in enumerate(cells)])


def _number(cell: str, place: int, missing: frozenset[str]) -> float:
    if cell in missing:
        return math.nan
    try:
        value = float(cell)
    except ValueError:
        raise NotANumberError(place) from None
    if not math.isfinite(value) or "_" in cell:  # Python reads 1_000 as a number; no other program does
        raise NotANumberError(place)
    return value


def parse_times(cells: Sequence[str], missing: frozenset[str]) -> np.ndarray:
    """Return numbers, or ISO dates and times as seconds since 1970, as float64; as `parse_numbers` does."""
    try:
        return parse_numbers(cells, missing)
    except NotANumberError:
        return np.array([_moment(cell.strip(), place, missing) for place, cell in enumerate(cells)])


def _moment(cell: str, place: int, missing: frozenset[str]) -> float:
    if cell in missing:
        return math.nan
    try:
        moment = datetime.fromisoformat(cell)
    except ValueError:
        raise NotANumberError(place) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


@dataclass
class Survey:
    """What is known of one column after some of its rows.

    Args:
        name: Its name.
        table: Its file.
        missing: What stands for a missing value.
        most: How many different texts are kept; with more it is no category.
        taken: As what it is to be taken; None to find out.
        required: What it is for, where every row must have a value.
    """

    name: str
    table: Delimited
    missing: frozenset[str]
    most: int
    taken: Taken | None = None
    required: str | None = None
    rows: int = 0
    gaps: int = 0
    numbers: int = 0
    whole: bool = True
    low: float = math.inf
    high: float = -math.inf
    few: set[float] | None = field(default_factory=set)
    texts: set[str] | None = field(default_factory=set)

    def add(self, cells: Sequence[str]) -> None:
        """Take the next cells of the column.

        Args:
            cells: Texts.

        Raises:
            DataError: It holds numbers and texts, or not what it is to be taken as, or a value is missing that must
                be there.
        """
        if self.taken == "time":
            self._add_numbers(self._parsed(cells))
        elif self.taken == "categorical" or (self.taken is None and self.texts):
            self._add_texts(cells)
        else:
            self._look(cells)
        self.rows += len(cells)

    def _look(self, cells: Sequence[str]) -> None:
        try:
            self._add_numbers(parse_numbers(cells, self.missing))
        except NotANumberError as error:
            place, cell = error.place, cells[error.place].strip()
            if _reads_as_infinity(cell):
                raise self._refusal(place, f"{cell!r} is no finite number; mend it, or name it as missing") from None
            before = self.numbers + sum(c.strip() not in self.missing for c in cells[:place])
            if self.taken == "numeric" or before:
                told = "the value before it is" if before == 1 else f"{before} values before it are"
                why = f"is no number, but {told}" if before else "is no number"
                advice = "mend it, or say that it stands for a missing value (missing)"
                if self.taken is None:
                    advice += f", or that the column holds categories: --set categorical='[{_quoted(self.name)}]'"
                raise self._refusal(place, f"{cell!r} {why}; {advice}") from None
            self._add_texts(cells)

    def _add_numbers(self, values: np.ndarray) -> None:
        there = values[~np.isnan(values)]
        self._count_gaps(np.isnan(values))
        if not len(there):
            return
        self.numbers += len(there)
        self.low, self.high = min(self.low, float(there.min())), max(self.high, float(there.max()))
        self.whole = self.whole and bool((there == np.trunc(there)).all())
        if self.few is not None and self.whole:
            self.few.update(np.unique(there)[: _FEW + 1].tolist())
        if not self.whole or (self.few is not None and len(self.few) > _FEW):
            self.few = None

    def _add_texts(self, cells: Sequence[str]) -> None:
        kept = [cell.strip() for cell in cells]
        gaps = np.array([cell in self.missing for cell in kept])
        self._count_gaps(gaps)
        if self.taken is None:
            for place, cell in enumerate(kept):
                if not gaps[place] and _reads_as_number(cell):
                    raise self._refusal(
                        place,
                        f"{cell!r} is a number, but the values before it are texts; mend it, or say that the column "
                        f"holds categories, --set categorical='[{_quoted(self.name)}]'",
                    )
        if self.texts is not None:
            self.texts.update(set(kept) - self.missing)
            if len(self.texts) > self.most:
                self.texts, self.taken = None, "categorical"

    def _count_gaps(self, gaps: np.ndarray) -> None:
        count = int(gaps.sum())
        if count and self.required:
            raise self._refusal(
                int(gaps.argmax()), f"the {self.required} is missing; fill it in, or remove such rows before importing"
            )
        self.gaps += count

    def _parsed(self, cells: Sequence[str]) -> np.ndarray:
        try:
            return parse_times(cells, self.missing)
        except NotANumberError as error:
            raise self._refusal(
                error.place, f"{cells[error.place]!r} is no time; allowed are numbers and ISO dates, 2024-05-31T10:00"
            ) from None

    def _refusal(self, place: int, message: str) -> Exception:
        return self.table.refusal(self.rows + place, self.name, message)

    @property
    def categorical(self) -> bool:
        """Whether it holds categories."""
        return self.taken == "categorical" or (self.taken is None and bool(self.texts))

    @property
    def rounded(self) -> bool:
        """Whether it holds whole numbers of which float32 makes others."""
        return bool(self.numbers) and self.whole and max(-self.low, self.high) > _EXACT

    @property
    def is_label(self) -> bool:
        """Whether it holds classes where it is a target: categories, or 0 and 1."""
        return self.categorical or (self.taken is None and self.few == {0.0, 1.0})

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Its categories in order, numbers by size, the missing ones last; None where there are too many."""
        if self.texts is None:
            return None
        found = sorted(self.texts - {MISSING_CLASS}) if self.gaps else sorted(self.texts)
        if all(map(_reads_as_number, found)):
            found.sort(key=float)
        return (*found, *((MISSING_CLASS,) if self.gaps else ()))


def column_notes(surveys: Sequence[Survey], *, inputs: bool = True) -> str:
    """Say of which columns of numbers not everything is kept, or nothing is there, and for inputs what to do."""
    found = []
    if rounded := [survey for survey in surveys if survey.rounded]:
        ends = f"{min(survey.low for survey in rounded):.0f} to {max(survey.high for survey in rounded):.0f}"
        told = f"whole numbers, {ends}, as float32, in which neighbours beyond {_EXACT} become equal"
        advice = f"; if they only name something, leave them out: --set drop='{_names(rounded)}'" * inputs
        found.append(f"{_listed(rounded)}: {told}{advice}")
    if empty := [survey for survey in surveys if survey.rows and not survey.numbers]:
        found.append(f"{_listed(empty)}: no value in any row; leave out: --set drop='{_names(empty)}'")
    return "; ".join(found)


def _listed(surveys: Sequence[Survey]) -> str:
    return ", ".join(survey.name for survey in surveys[:8]) + (", …" if len(surveys) > 8 else "")


def _names(surveys: Sequence[Survey]) -> str:
    return f"[{', '.join(_quoted(survey.name) for survey in surveys)}]"


def _reads_as_infinity(cell: str) -> bool:
    try:
        return math.isinf(float(cell))
    except ValueError:
        return False


def _reads_as_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
