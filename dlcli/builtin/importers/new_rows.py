"""Delimited text that comes after what was imported."""

from collections.abc import Sequence

from dlcli import Field
from dlcli.builtin.importers.column_places import Column
from dlcli.builtin.importers.columns import Survey, Taken
from dlcli.builtin.importers.csv import CSV
from dlcli.builtin.importers.delimited import Delimited


class NewRows(CSV):
    """Reads rows that come after those that were imported: a named column may be missing.

    Args:
        known: What columns hold that a model takes, by name; parameters that say otherwise win.
    """

    known: dict[str, Taken] = {}

    def taking(self, fields: Sequence[Field]) -> "NewRows":
        """Return the importer that reads a model's columns of numbers and of categories as such."""
        known: dict[str, Taken] = {name: "numeric" for f in fields if f.kind == "features" for name in f.names}
        for field in fields:
            # Without classes a model knows categories by their numbers, which no text can be looked up in.
            if field.kind == "categorical" and field.classes:
                known |= dict.fromkeys(field.names or (field.name,), "categorical")
        return self.model_copy(update={"known": known})

    def _there(self, table: Delimited, column: Column, what: str) -> tuple[int, ...]:
        absent = isinstance(column, str) and column not in table.names and not column.removeprefix("-").isdecimal()
        return () if absent else super()._there(table, column, what)

    def _surveys(self, table: Delimited, targets: Sequence[int], group: int | None, time: int | None) -> list[Survey]:
        found = super()._surveys(table, targets, group, time)
        for survey in found:
            survey.taken = survey.taken or self.known.get(survey.name)
        return found
