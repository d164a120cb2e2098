"""The use case behind `dlcli build --overfit-batch`: whether a network can learn one batch by heart."""

import math
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dlcli.contracts.batch import Batch, Batches
from dlcli.contracts.member import Member
from dlcli.contracts.task import Task
from dlcli.data.streamed_batches import make_batches
from dlcli.errors import TrainingError
from dlcli.experiment.evaluation.worst_rows import parts_of_file, place_of
from dlcli.experiment.overfitting.attempt import Attempt, Progressing, attempt
from dlcli.experiment.overfitting.bare import switch_off_randomness, without_regularization
from dlcli.experiment.overfitting.bounds import SHARE, Bounds, best_loss, bounds_of
from dlcli.experiment.overfitting.causes import causes
from dlcli.experiment.overfitting.sameness import contradictions, is_causal, same_beginnings, same_rows
from dlcli.experiment.prepare import Prepared, field_mappings
from dlcli.experiment.run_directory import RUNS
from dlcli.experiment.train import as_overrides, begin
from dlcli.plugins import Plugins, load_plugins
from dlcli.training.device import choose_device
from dlcli.training.evaluation import forward
from dlcli.training.network import build_network, seed_epoch
from dlcli.training.objective import batch_loss

RATES = (1e-3, 1e-2, 1e-1, 1e-4)
"""Of Adam, one after another, where the recipe's own optimizer does not learn the batch: is it the rate, or what?"""
SHOWN = 3
"""Most rows that contradict one another, and numbers of a target, that are told."""


@dataclass(frozen=True)
class OverfitBatch:
    """Whether a network can learn one batch by heart.

    Args:
        name: The recipe's name.
        loss: Name of the loss.
        rows: Rows of the batch that count.
        parameters: Numbers that are trained.
        first: Loss of the batch before any step.
        floor: Loss of the best answers that there are, of which the batch's inputs allow no better.
        blind: Loss of the best answer that is the same for every row.
        goal: Loss at which the batch is learnt.
        reached: Whether any attempt came down to it.
        attempts: What was tried: the recipe's optimizer at its rate, and where that failed Adam at several rates.
        switched_off: What would have stood in the way.
        causes: What may be why, where it was not reached; in the order in which to look.
        notes: What the user should know.
    """

    name: str
    loss: str
    rows: int
    parameters: int
    first: float
    floor: float
    blind: float
    goal: float
    reached: bool
    attempts: tuple[Attempt, ...]
    switched_off: tuple[str, ...]
    causes: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def best(self) -> Attempt:
        """The attempt that reached the goal, or came nearest to it; of equal ones the first."""
        return min(self.attempts, key=lambda each: (not each.reached, each.best))

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return asdict(self)


def overfit_batch(
    recipe: str | Path | Mapping[str, Any],
    *,
    overrides: Sequence[str] = (),
    device: str | None = None,
    progress: Progressing | None = None,
    plugins: Plugins | None = None,
) -> OverfitBatch:
    """Train a network on its first batch alone, until it knows it by heart; of several networks the first.

    Regularization, dropout, weight decay, label smoothing and the schedule play no part. Training rows alone are looked
    at, nothing is written, and no random stream of a later training is moved.

    Args:
        recipe: A recipe file, or a recipe as a mapping.
        overrides: `key=value` texts, as after `--set`.
        device: Wins over `train.device`.
        progress: Is told after every step.
        plugins: Loaded plugins; loaded here where None.

    Returns:
        What was reached, and where it was not enough what may be why.

    Raises:
        RecipeError: The recipe is wrong; all problems at once.
        DataError: The dataset cannot be used.
        TrainingError: The loss of the batch is not finite before any step.
    """
    plugins = plugins or load_plugins()
    beginning = begin(recipe, [*overrides, *as_overrides({"train.device": device})], Path(RUNS), plugins)
    prepared = beginning.prepared
    where = choose_device(prepared.recipe.train.device)
    with torch.random.fork_rng(devices=[where] if where.type == "cuda" else []):
        return _overfit(prepared, where, progress, beginning.notes)


def _overfit(
    prepared: Prepared, device: torch.device, progress: Progressing | None, notes: Sequence[str]
) -> OverfitBatch:
    member, switched_off = without_regularization(prepared.member)
    learnt = [each.training_rows for each in prepared.plan.members]
    batches = make_batches(prepared.dataset, device, learnt, prepared.recipe.seed)
    batch = _first(batches, member)
    network = build_network(member, device)
    random = switch_off_randomness(network)
    seed_epoch((), member, 1, device)
    causal = member.io.per_position and is_causal(network, batch)
    with torch.no_grad():
        output = forward(network, batch.inputs, batch)
        first = float(batch_loss(member.trained_loss, output, (batch.target,), None, batch))
    if not math.isfinite(first):
        raise TrainingError(
            f"the loss of the batch is {first} before any step: look at the data with dlcli data check "
            f'{prepared.recipe.data.path}, and set preprocess = ["standardize"] under [data]'
        )
    bounds = bounds_of(member.trained_loss, member.io, batch, first, same_beginnings(batch) if causal else None)
    rows = same_rows(batch)
    clashes = [] if causal else contradictions(batch, rows)
    lowest = bounds.floor
    if clashes:
        steps = batch.target.shape[1] if member.io.per_position else 1
        groups = (rows[:, None] * steps + torch.arange(steps)) if member.io.per_position else rows
        lowest = best_loss(member.trained_loss, member.io, batch, groups) or lowest
    enough = bounds.above(lowest).goal
    attempts, network = _try(member, batch, bounds, enough, device, progress)
    reached = any(each.reached for each in attempts)
    told = [_told(places, batch, prepared, _first(batches, _numbering(member, prepared))) for places in clashes]
    return OverfitBatch(
        name=prepared.recipe.name,
        loss=member.trained_loss.name,
        rows=len(batch.target) if batch.weight is None else int((batch.weight != 0).sum()),
        parameters=sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad),
        first=first,
        floor=bounds.floor,
        blind=bounds.blind,
        goal=bounds.goal,
        reached=reached,
        attempts=tuple(attempts),
        switched_off=(*switched_off, *random),
        causes=() if reached else tuple(causes(attempts, member, batch, network, told, lowest, enough)),
        notes=(*notes, *_notes(bounds, first, attempts, causal=causal)),
    )


def _try(
    member: Member, batch: Batch, bounds: Bounds, enough: float, device: torch.device, progress: Progressing | None
) -> tuple[list[Attempt], nn.Module]:
    """Return what was tried, and the network of the best; `enough` is a loss below which nothing can be won."""
    found, network = attempt(member, batch, bounds, device, progress=progress)
    attempts, best = [found], found
    own = float(member.optimizer.lr) if member.optimizer.name in ("adam", "adamw") else math.nan
    for rate in RATES:
        if best.reached or best.best <= enough:
            break
        if rate == own:
            continue
        found, other = attempt(member, batch, bounds, device, adam=rate, progress=progress)
        attempts.append(found)
        if found.reached or found.best < best.best:
            best, network = found, other
    return attempts, network


def _first(batches: Batches, member: Member) -> Batch:
    """Return a member's first batch; it is a copy, since a stream may use its memory for the next one."""
    epoch = batches.training(member, 1)
    with closing(epoch) if isinstance(epoch, Generator) else nullcontext():
        batch = next(epoch)
        return Batch(*(_copied(part) for part in batch))


def _copied(part: Any) -> Any:
    if isinstance(part, tuple):
        return tuple(_copied(each) for each in part)
    return part.clone() if isinstance(part, Tensor) else part


def _numbering(member: Member, prepared: Prepared) -> Member:
    """Return a member whose targets are the numbers of its rows in the dataset: of the same batches it has the same."""
    return replace(member, training_target=torch.arange(prepared.dataset.rows), target_scale=None)


def _told(places: Sequence[int], batch: Batch, prepared: Prepared, numbered: Batch) -> str:
    """Return which rows of the file have the same inputs, and what their targets are."""
    recipe = prepared.recipe
    parts = parts_of_file(Path(recipe.data.path), field_mappings(recipe))
    targets = batch.target
    if (scale := prepared.member.target_scale) is not None:
        targets = targets * scale.scale.to(targets) + scale.offset.to(targets)
    told = [
        f"{place_of(int(numbered.target[place]), parts)} ({_target(targets[place], prepared.member)})"
        for place in places[:SHOWN]
    ]
    more = f" and {len(places) - SHOWN} more" if len(places) > SHOWN else ""
    return f"rows {', '.join(told)}{more}"


def _target(target: Tensor, member: Member) -> str:
    """Return a row's target in few words."""
    io = member.io
    if not io.per_position:
        if io.task is Task.MULTICLASS:
            return io.classes[int(target)]
        if io.task is Task.BINARY:
            return io.classes[int(target > 0.5)]
        if io.task is Task.MULTILABEL:
            return "+".join(name for name, there in zip(io.classes, target > 0.5, strict=True) if there) or "no label"
    numbers = target.flatten().tolist()
    return ", ".join(f"{value:.4g}" for value in numbers[:SHOWN]) + (", …" if len(numbers) > SHOWN else "")


def _notes(bounds: Bounds, first: float, attempts: Sequence[Attempt], *, causal: bool) -> Iterator[str]:
    """Yield what the user should know of how it was judged."""
    own = attempts[0]
    if len(attempts) > 1 and attempts[-1].reached:
        how = "too slowly" if own.falling else "not"
        yield (
            f"{how} with the recipe's own {own.optimizer} at {own.learning_rate:g} (loss {own.losses[-1]:.4g} after "
            f"{own.steps} steps), but with adam at {attempts[-1].learning_rate:g}: the network can learn; look for a "
            "better rate with dlcli train --find-lr"
        )
    if causal and bounds.floor > SHARE * bounds.blind:
        yield (
            "an answer sees the positions before it alone, and some rows begin alike and go on differently: the loss "
            f"cannot be below {bounds.floor:.4g}, and near zero means near that"
        )
    if bounds.blind == first:
        yield "all targets of the batch are alike, so that a constant answers them: that it is learnt proves little"
