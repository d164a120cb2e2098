"""What a comparison of two runs means in plain words, and what it does not say."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from dlcli.experiment.address import Address
from dlcli.experiment.evaluation.answers import Answers
from dlcli.report.evaluation_comparison import p_text
from dlcli.report.figures import count_of, number


def verdict_of(
    difference: float, p_value: float | None, significance: float, answers: Answers, *, seen: bool = False
) -> str:
    """Say whether a difference of losses means anything.

    Args:
        difference: Loss of the second minus that of the first.
        p_value: Of the paired test; None where there is none.
        significance: Below which p-value a difference counts, in (0, 1).
        answers: The answers of either, for what was judged.
        seen: Whether a model was trained on these rows.

    Returns:
        One sentence or two.
    """
    units = count_of(answers.units, "group" if answers.grouped else "row")
    if seen:
        return (
            f"Trained on these {units}, a model shows how well it remembers them, not how good it is: nothing follows. "
            "--split test takes rows that neither has seen."
        )
    if p_value is None or not math.isfinite(difference):
        why = "a loss is not finite" if answers.units > 1 else "nothing can be concluded from one"
        return f"No test on {units}: {why}."
    if p_value == 1 and difference == 0:
        return f"They do equally well on these {units}."
    chance = f"were neither better, chance would make as large a difference with probability p {p_text(p_value)}"
    if p_value >= significance:
        return f"These {units} do not tell the two apart: {chance}. That does not show that they are equally good."
    better = "second" if difference < 0 else "first"
    return f"The {better} has the smaller loss, by {number(abs(difference))}, beyond chance on {units}: {chance}."


def limits_of(runs: Sequence[tuple[Address, Mapping[str, Any]]], split: str) -> tuple[str, ...]:
    """Say what a comparison of two runs leaves open, and how to find out.

    Args:
        runs: Both runs, each with its `run.json`.
        split: Of which rows.

    Returns:
        Sentences.
    """
    said = [
        "This is about these two models on rows like these, drawn independently; not about their recipes: trained "
        "again with another seed, either may change by more than the difference."
    ]
    told = [text for address, facts in runs if (text := _population(address, facts, split)) is not None]
    said += told
    if len(told) < len(runs):
        said.append("To compare recipes, train both with --seeds 10 and hold their difference against the spread.")
    return tuple(said)


def _population(address: Address, facts: Mapping[str, Any], split: str) -> str | None:
    """Say how much a run's networks differ from each other; None where there is only one training."""
    population = facts.get("population")
    if address.member or not population or population["count"] < 2:
        return None
    what = "seeds" if population["kind"] == "seeds" else "folds"
    rows = split if what == "seeds" else "held_out"
    mean, spread = (population.get(part, {}).get(rows, {}).get("loss") for part in ("mean", "spread"))
    if mean is None or spread is None:
        return None
    on = f"{split} rows" if what == "seeds" else "the rows that each has not seen"
    advice = "" if what == "seeds" else ", which also differ in their rows: compare fold by fold, with equal folds"
    return (
        f"{address} is the mean of {population['count']} {what}; each network alone has a loss of {number(mean)} ± "
        f"{number(spread)} (standard deviation) on {on}{advice}."
    )
