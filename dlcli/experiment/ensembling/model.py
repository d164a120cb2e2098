"""The model of an ensemble: what its strategy decided, as the files of a run."""

from dataclasses import replace

from dlcli.contracts.ensemble import Ensemble
from dlcli.contracts.ensemble_members import AveragedWeights, Combination, Outcome, SingleMember
from dlcli.experiment.ensembling.outputs import wiring_of
from dlcli.experiment.ensembling.state import Ensembling
from dlcli.experiment.models.combination import Wiring
from dlcli.experiment.models.model_folder import AnyModel, Combined, read_model, write_combination, write_part


def write_outcome(own: Ensembling, outcome: Outcome, temperature: float | None) -> AnyModel:
    """Write the model folder, and read it back: what is scored is what was written.

    Args:
        own: The ensemble.
        outcome: What its strategy decided.
        temperature: What outputs are divided by; None for none.

    Returns:
        The model as it was read.

    Raises:
        StorageError: It could not be written.
    """
    combined: Combined | None = None
    if isinstance(outcome, Combination):
        wiring = wiring_of(outcome)
        combined = Combined(
            own.prepared.strategy, own.context.task, wiring, outcome.settings, outcome.state, temperature
        )
        parts = {identity: own.part(identity) for identity in wiring.everybody}
    else:
        identity = outcome.identity if isinstance(outcome, SingleMember) else outcome.like
        part = own.part(identity)
        if isinstance(outcome, AveragedWeights):
            settled = own.conductor.settled_weights(outcome.state, own.member(identity))
            tensors = {f"network.{name}": tensor for name, tensor in settled.items()}
            part = replace(part, tensors={**part.tensors, **tensors})
        parts = {identity: part}
        if temperature is not None:
            voting = own.plugins.registry.component(Ensemble, "dlcli:voting")
            combined = Combined(
                voting, own.context.task, Wiring((identity,)), {"vote": "soft"}, temperature=temperature
            )
    if combined is None:
        write_part(own.run.model, next(iter(parts.values())))
    else:
        write_combination(own.run.model, parts, combined, own.plugins)
    return read_model(own.run.model, own.plugins)
