"""From what a strategy asks for to members that `fit` trains."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor

from dlcli.contracts.component import implements
from dlcli.contracts.dataset import Dataset
from dlcli.contracts.ensemble_members import KeptStates, MemberSpecification
from dlcli.contracts.field import Field, InputOutput
from dlcli.contracts.member import Keep, Member
from dlcli.contracts.preprocessor import Preprocessing
from dlcli.data.preprocessing import fit_chain, fit_preprocessing
from dlcli.errors import Problem, RecipeError
from dlcli.experiment.members import make_member, recipe_preprocess
from dlcli.experiment.models.model import ModelDescription, describe
from dlcli.experiment.rehearsal import check_member
from dlcli.layers.input_layers import in_front
from dlcli.recipe.model import Recipe


class MemberRoom:
    """Makes members; preprocessing of rows that several share is fitted once.

    Args:
        recipe: A settled recipe.
        dataset: Its data.
        training_rows: Rows to train on where a specification says nothing, int64.
        validation_rows: Likewise rows that decide; None for none.
    """

    def __init__(self, recipe: Recipe, dataset: Dataset, training_rows: Tensor, validation_rows: Tensor | None) -> None:
        self._recipe, self._dataset = recipe, dataset
        self._training_rows, self._validation_rows = training_rows, validation_rows
        self._fitted: dict[int, tuple[Tensor, Preprocessing]] = {}
        self._checked: set[str] = set()

    def make(self, specification: MemberSpecification) -> Member:
        """Make the member that a specification asks for.

        Args:
            specification: What is asked for.

        Returns:
            The member; its seed is derived from the recipe's and its identity.

        Raises:
            RecipeError: The architecture cannot be built for the data.
            DataError: Preprocessing cannot be fitted on the rows.
        """
        spec = specification
        training = self._training_rows if spec.training_rows is None else spec.training_rows
        validation = self._validation_rows if spec.validation_rows is None else spec.validation_rows
        if validation is not None and not len(validation):
            validation = None
        if spec.offset is not None and self._recipe.data.scale_target:
            message = (
                "these networks add up, and each learns in the target's own units what those before it leave; set "
                "data.scale_target = false"
            )
            raise RecipeError([Problem("", "data.scale_target", message)])
        preprocessing = {**(self._preprocessing(training) if spec.own_inputs else {}), **self._of_fed(spec, training)}
        member = make_member(
            self._recipe, self._dataset, spec.identity, training, validation, preprocessing=preprocessing
        )
        member = replace(
            member,
            architecture=in_front(
                self._recipe.model.inputs if spec.own_inputs else (),
                spec.architecture or self._recipe.model.architecture,
            ),
            io=_input_output(member.io, spec),
            row_weights=spec.row_weights,
            fed=spec.fed,
            training_loss=spec.training_loss,
            training_target=spec.training_target,
            offset=spec.offset,
            input_columns=spec.input_columns,
            **_changes(spec, member),
            **kept(spec.keep, member),
        )
        if validation is None:
            # Nothing is left to decide an epoch by: it trains all of them, and the last counts.
            staying = tuple(r for r in member.regularizers if not implements(r, "stop"))
            member = replace(member, select="last", regularizers=staying)
        self._check(member)
        return member

    def describe(self, member: Member) -> ModelDescription:
        """Return what the model of a member must carry besides its tensors."""
        return describe(self._dataset, member)

    def _of_fed(self, spec: MemberSpecification, training: Tensor) -> Preprocessing:
        """Fit preprocessing on what the network is fed, where that is targets: in their own units they may be anything.

        Of the recipe's preprocessors those that keep the columns.
        """
        if self._dataset.task.classifies:
            return {}
        found = {}
        for name, values in spec.fed.items():
            field = _fed_field(name, values)
            kept = [
                c for c in self._recipe.data.preprocess if c.accepts(field) and c.output(field).shape == field.shape
            ]
            found[name] = fit_chain(kept, field, values.index_select(0, training))
        return {name: chain for name, chain in found.items() if chain}

    def _preprocessing(self, rows: Tensor) -> Preprocessing:
        found = self._fitted.get(id(rows))
        if found is None:
            # The rows are kept beside, so that the identity in the key stays theirs.
            found = rows, fit_preprocessing(self._dataset, recipe_preprocess(self._recipe), rows)
            self._fitted[id(rows)] = found
        return found[1]

    def _check(self, member: Member) -> None:
        key = f"{member.architecture.stack_key()} {member.io!r}"
        if key not in self._checked:
            check_member(member)
            self._checked.add(key)


def _input_output(io: InputOutput, specification: MemberSpecification) -> InputOutput:
    """Return what the network is built for: the dataset's inputs as far as it sees them, and what it is fed."""

    def seen(field: Field) -> Field:
        columns = specification.input_columns.get(field.name)
        if columns is None:
            return field
        place = 0 if field.kind == "image" else len(field.shape) - 1
        return replace(field, shape=(*field.shape[:place], len(columns), *field.shape[place + 1 :]))

    own = tuple(seen(field) for field in io.inputs) if specification.own_inputs else ()
    fed = tuple(_fed_field(name, values) for name, values in specification.fed.items())
    return replace(io, inputs=(*own, *fed), conditions=io.conditions if specification.own_inputs else ())


def _fed_field(name: str, values: Tensor) -> Field:
    return Field(name, "input", "features", (values.shape[1],), "float32")


def _changes(specification: MemberSpecification, member: Member) -> Mapping[str, Any]:
    found: dict[str, Any] = {}
    if specification.epochs is not None:
        found |= {"epochs": specification.epochs, "horizon_epochs": None}
    if specification.schedule is not None:
        found |= {"schedule": specification.schedule, "horizon_epochs": None}
    if specification.optimizer is not None:
        found["optimizer"] = specification.optimizer
    if specification.averager is not None:
        found["averager"] = specification.averager
    if specification.initial_state is not None:
        found["initial_state"] = specification.initial_state
    return found


def kept(states: KeptStates, member: Member) -> Mapping[str, Any]:
    """Return the fields of a member that keep the states that are asked for: a single one needs no file of its own."""
    if states.which == "best":
        return {"keep": Keep(best=0)}
    if states.which == "last":
        return {"keep": Keep(best=0), "select": "last"}
    if states.which == "best_n":
        return {"keep": Keep(best=states.count), "select": "best"}
    if states.which == "last_n":
        return {"keep": Keep(best=0, last=max(2, states.count)), "select": "last"}
    return {"keep": Keep(best=0, every_epochs=states.count), "select": "last"}
