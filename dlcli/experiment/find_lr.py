"""The use case behind `dlcli train --find-lr`: the learning-rate range test, which leaves nothing behind."""

import itertools
import math
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from statistics import pstdev
from typing import Any

import torch

from dlcli import atomic
from dlcli.contracts.batch import Batches
from dlcli.contracts.member import Member
from dlcli.data.streamed_batches import make_batches
from dlcli.errors import TrainingError
from dlcli.experiment.output_file import check_picture_output
from dlcli.experiment.run_directory import RUNS
from dlcli.experiment.switches import training_device
from dlcli.experiment.train import as_overrides, begin
from dlcli.plugins import Plugins, load_plugins
from dlcli.report.find_lr import find_lr_svg
from dlcli.training.accumulation import StepBatch, step_batches
from dlcli.training.determinism import determinism
from dlcli.training.network import active_dropouts, build_network, build_optimizer, seed_epoch
from dlcli.training.out_of_memory import out_of_memory_told
from dlcli.training.switched_step import make_step
from dlcli.training.threads import suitable_threads

LOWEST, HIGHEST, STEPS = 1e-7, 10.0, 100
"""Rates of the first and the last step, and how many steps there are."""
SMOOTHING = 0.9
"""What the running mean of the loss keeps of itself in a step."""
EXPLODED = 4.0
"""How many times the best smoothed loss ends the test."""
CHANCE = 3.0
"""By how many standard deviations of its own a smoothed loss must fall to be believed."""
SETTLING = 10
"""First steps that suggest no rate: their running mean is of few batches, and falls and rises by chance."""


@dataclass(frozen=True)
class RatePoint:
    """One step.

    Args:
        learning_rate: Its rate.
        loss: Loss of its batch, before the step.
        smoothed_loss: Running mean of the losses so far, corrected for its start.
    """

    learning_rate: float
    loss: float
    smoothed_loss: float


@dataclass(frozen=True)
class RangeTest:
    """What the range test found out.

    Args:
        name: The recipe's name.
        optimizer: Name of the optimizer.
        learning_rate: The recipe's own rate.
        points: One a step, in the order of rising rates.
        steepest: The rate at which the smoothed loss falls quickest; None where it never falls.
        minimum_tenth: A tenth of the rate at which it is smallest; None where it never falls.
        ended: Why the test ended before its highest rate; None where it did not.
        notes: What the user should know.
    """

    name: str
    optimizer: str
    learning_rate: float
    points: tuple[RatePoint, ...]
    steepest: float | None
    minimum_tenth: float | None
    ended: str | None
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return asdict(self)


def find_lr(
    recipe: str | Path | Mapping[str, Any],
    *,
    overrides: Sequence[str] = (),
    device: str | None = None,
    start_from: str | Path | None = None,
    freeze: str | None = None,
    runs: str | Path = RUNS,
    svg: Path | None = None,
    plugins: Plugins | None = None,
) -> RangeTest:
    """Train a network for a few steps at rising learning rates, and suggest a rate; of several networks the first.

    Training rows alone are looked at, and the schedule plays no part. Nothing is left but the picture that is asked
    for, and no random stream of a later training is moved.

    Args:
        recipe: A recipe file, or a recipe as a mapping.
        overrides: `key=value` texts, as after `--set`.
        device: Wins over `train.device`.
        start_from: A run whose weights to start from; wins over `train.start_from`.
        freeze: Which parameters not to train; wins over `train.freeze`.
        runs: Folder of all runs, where the one to start from is found.
        svg: File for a picture; None for none.
        plugins: Loaded plugins; loaded here where None.

    Returns:
        The losses and the suggested rates.

    Raises:
        UsageError: No picture can be left at `svg`.
        StorageError: The picture could not be written.
        RecipeError: The recipe is wrong; all problems at once.
        DataError: The dataset cannot be used.
        TrainingError: The loss was not finite from the start, or diverged at once; or memory ran out.
    """
    if svg is not None:
        check_picture_output(svg, "--svg")
    plugins = plugins or load_plugins()
    given = as_overrides({"train.device": device, "train.start_from": start_from, "train.freeze": freeze})
    beginning = begin(recipe, [*overrides, *given], Path(runs), plugins)
    prepared = beginning.prepared
    where = training_device(prepared.recipe)
    learnt = [member.training_rows for member in prepared.plan.members]
    with out_of_memory_told(lambda: "in the range test", where, prepared.member.batch_size):
        batches = make_batches(prepared.dataset, where, learnt, prepared.recipe.seed)
        points, ended = _climb(prepared.member, batches, where)
    if len(points) <= SETTLING:
        raise TrainingError(_diverged_at_once(points, ended, prepared.recipe.data.path))
    steepest, minimum = suggest(points)
    optimizer = prepared.member.optimizer
    test = RangeTest(
        name=prepared.recipe.name,
        optimizer=optimizer.name,
        learning_rate=float(optimizer.lr),
        points=tuple(points),
        steepest=steepest,
        minimum_tenth=None if minimum is None else minimum / 10,
        ended=ended,
        notes=(*beginning.notes, *doubts(points)),
    )
    if svg is not None:
        atomic.write_text(svg, find_lr_svg(test))
    return test


def suggest(points: Sequence[RatePoint]) -> tuple[float | None, float | None]:
    """Return the rate of steepest descent over the logarithm of the rate, and that of the smallest smoothed loss.

    Steepest descent is looked for up to the smallest loss: after it a loss that has risen falls again by chance.

    Args:
        points: More than `SETTLING`.

    Returns:
        Both rates; None and None where the smoothed loss never falls.
    """
    lowest = _lowest(points)
    slopes = [
        ((after.smoothed_loss - before.smoothed_loss) / math.log(after.learning_rate / before.learning_rate), after)
        for before, after in pairwise(points[SETTLING - 1 : lowest + 1])
    ]
    slope, steepest = min(slopes, key=lambda each: each[0])
    return (None, None) if slope >= 0 else (steepest.learning_rate, points[lowest].learning_rate)


def doubts(points: Sequence[RatePoint]) -> tuple[str, ...]:
    """Say so where the smoothed loss falls by no more than batches differ, so that its course may be chance.

    Args:
        points: More than `SETTLING`.

    Returns:
        A note, or none.
    """
    lowest = _lowest(points)
    before = points[: lowest + 1]
    first = points[SETTLING - 1].smoothed_loss
    fall = first - points[lowest].smoothed_loss
    # A running mean of independent values of one spread has √((1 − a) / (1 + a)) of it; two of them differ by √2 more.
    spread = pstdev([b.loss - a.loss for a, b in pairwise(before)]) / math.sqrt(2)
    chance = CHANCE * spread * math.sqrt(2 * (1 - SMOOTHING) / (1 + SMOOTHING))
    if not 0 < fall <= chance:
        return ()
    return (
        f"the loss fell by {fall:.2g} only, from {first:.4g}, as by chance where batches differ by {spread:.2g}: the "
        "rates say little; take larger batches, or look whether the inputs say anything of the target",
    )


def _lowest(points: Sequence[RatePoint]) -> int:
    """Return the place of the smallest smoothed loss, after those that are settling."""
    return min(range(SETTLING, len(points)), key=lambda place: points[place].smoothed_loss)


def _climb(member: Member, batches: Batches, device: torch.device) -> tuple[list[RatePoint], str | None]:
    """Take the steps; return them, and why they ended early."""
    points: list[RatePoint] = []
    mean, best = 0.0, math.inf
    forked = torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])
    with forked, determinism(member.switches.deterministic, device):
        network = build_network(member, device)
        optimizer = build_optimizer(member, network, rate=LOWEST)
        step, group = make_step(member, network, optimizer, device), optimizer.param_groups[0]
        dropouts = active_dropouts(network)

        def endless() -> Generator[StepBatch, None, None]:
            for epoch in itertools.count(1):
                seed_epoch(dropouts, member, epoch, device)
                step.start_epoch(epoch)
                yield from step_batches(batches.training(member, epoch), member.switches.accumulate)

        with suitable_threads(network, member), closing(endless()) as source:
            for index, batch in zip(range(STEPS), source, strict=False):
                group["lr"] = rate = LOWEST * (HIGHEST / LOWEST) ** (index / (STEPS - 1))
                loss = float(step(batch))
                if not math.isfinite(loss):
                    return points, f"the loss became {loss} at learning rate {rate:.3g}"
                mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
                smoothed = mean / (1 - SMOOTHING ** (index + 1))
                points.append(RatePoint(rate, loss, smoothed))
                best = min(best, smoothed)
                # Four times a loss above 0; as far above one that is not.
                if smoothed - best > (EXPLODED - 1) * abs(best):
                    return points, f"the loss rose to {EXPLODED:g} times its best at learning rate {rate:.3g}"
    return points, None


def _diverged_at_once(points: Sequence[RatePoint], ended: str | None, path: str) -> str:
    where = f"in step {len(points) + 1}" if points else "on the first batch, before any step"
    return (
        f"the range test ended {where}, too early to suggest a rate: {ended}; look at the data with "
        f'dlcli data check {path}, and set preprocess = ["standardize"] under [data]'
    )
