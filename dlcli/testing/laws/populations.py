"""Laws of what plans populations: searches and ensembling strategies."""

import json
import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from dlcli import (
    AveragedWeights,
    Choice,
    Combination,
    Condition,
    Distribution,
    Folds,
    MemberResult,
    MemberSpecification,
    Normal,
    Search,
    Setting,
    SingleMember,
    Task,
    Uniform,
    belongs,
)
from dlcli.testing.examples import OUTPUTS, sample_outputs
from dlcli.testing.law import Case, Law, assert_equal, assert_finite

SPACE: dict[str, Distribution] = {
    "train.optimizer.lr": Uniform(1e-5, 1e-1, log=True),
    "model.dropout": Uniform(0.0, 0.5),
    "train.batch_size": Uniform(16, 19, whole=True),
    "model.hidden": Choice(((64,), (128, 128))),
    "train.optimizer": Choice(("adam", {"name": "sgd", "nesterov": True})),
    "train.optimizer.momentum": Normal(0.9, 0.1, 0.0, 1.0, when=Condition("train.optimizer", ("sgd",))),
}
TRIALS = 12
TRAINING_ROWS = 12
ROWS = 18
ROUNDS = 50


def run_search(
    case: Case, seed: int, numbers: Sequence[int] = range(TRIALS), told: Mapping[int, Setting] | None = None
) -> dict[int, Setting]:
    """Ask for trials three at a time and tell their scores, one of them a failure, until nothing is left.

    Args:
        case: The search.
        seed: Its seed.
        numbers: Numbers of the trials.
        told: Trials that were there before and are told first.

    Returns:
        The settings that it proposed, by trial.
    """
    search: Search = case.component
    searcher = search.start(SPACE, "min", seed)
    for trial, setting in (told or {}).items():
        searcher.tell(trial, setting, score_of(trial, setting))
    settings: dict[int, Setting] = {}
    for first in range(0, len(numbers), 3):
        trials = numbers[first : first + 3]
        proposed = searcher.ask(trials)
        assert len(proposed) <= 3, f"{case.label}: asked for 3 settings, it proposes {len(proposed)}"
        for trial, setting in zip(trials, proposed, strict=False):
            assert belongs(SPACE, setting), f"{case.label}: proposes {dict(setting)}, which is not of the space {SPACE}"
            settings[trial] = setting
            # Twice, once with lists for tuples: what comes back from a journal is the same trial.
            searcher.tell(trial, json.loads(json.dumps(setting)), score_of(trial, setting))
            searcher.tell(trial, setting, score_of(trial, setting))
    return settings


def score_of(trial: int, setting: Setting) -> float | None:
    """Return the score of a trial; the second one fails."""
    rate = setting["train.optimizer.lr"]
    assert isinstance(rate, float)
    return None if trial == 1 else abs(math.log10(rate) + 3)


def proposes_settings_of_the_space(case: Case) -> None:
    """Every proposal has a value for every active key, each from its distribution; a failed trial does not end it."""
    assert run_search(case, seed=0), f"{case.label} proposes nothing"


def searches_the_same_way_with_one_seed(case: Case) -> None:
    """Told the same scores, it proposes the same settings."""
    message = f"{case.label}: two searches with one seed propose different settings"
    assert run_search(case, seed=3) == run_search(case, seed=3), message


def goes_on_where_it_was(case: Case) -> None:
    """A search that is told what happened before goes on as if it had never been interrupted."""
    whole = run_search(case, seed=1)
    before = {trial: setting for trial, setting in whole.items() if trial < TRIALS - 3}
    after = run_search(case, 1, range(TRIALS - 3, TRIALS), before)
    message = f"{case.label}: told of {len(before)} trials, it does not go on as it did without an interruption"
    assert {**before, **after} == whole, message


def shares_the_work(case: Case) -> None:
    """Two processes with one seed that know of each other's trials propose different settings."""
    search: Search = case.component
    mine, theirs = (search.start(SPACE, "min", 0) for _ in range(2))
    proposed: list[Setting] = []
    for first in range(0, TRIALS, 4):
        for searcher, other, start in ((mine, theirs, first), (theirs, mine, first + 2)):
            trials = [start, start + 1]
            settings = searcher.ask(trials)
            for trial, setting in zip(trials, settings, strict=False):
                other.pending(trial, setting)
            proposed.extend(settings)
    different = {json.dumps(setting, sort_keys=True) for setting in proposed}
    assert len(different) == len(proposed), (
        f"{case.label}: two processes propose {len(different)} different settings in {len(proposed)} trials"
    )


class FakeContext:
    """What a strategy may know, of a dataset of a few rows whose members answer at random."""

    def __init__(self, case: Case, task: Task) -> None:
        self.task = task
        self.outputs = OUTPUTS[task]
        self.training_rows = torch.arange(TRAINING_ROWS)
        self.validation_rows = torch.arange(TRAINING_ROWS, ROWS)
        self.target = sample_outputs(task, ROWS, case.generator())[1]

    def folds(self, count: int) -> Folds:
        """Return folds over the training rows."""
        return Folds(tuple(self.training_rows[fold::count] for fold in range(count)))

    def outputs_of(self, identity: str, rows: Tensor) -> Tensor:
        """Return a member's outputs, a function of its identity."""
        generator = torch.Generator().manual_seed(sum(map(ord, identity)))
        return sample_outputs(self.task, ROWS, generator)[0][rows]

    def score(self, output: Tensor, rows: Tensor) -> float:
        """Return a score."""
        return float(output.square().mean())

    def generator(self, purpose: str) -> torch.Generator:
        """Return a stream for a purpose."""
        return torch.Generator().manual_seed(sum(map(ord, purpose)))

    def train(self, specification: MemberSpecification) -> list[MemberResult]:
        """Return one result a kept state."""
        identity, keep = specification.identity, specification.keep
        rows = specification.predict
        outputs = None if rows is None else self.outputs_of(identity, rows)
        state = {"weight": self.outputs_of(identity, torch.arange(2))}
        count = 1 if keep.which in ("best", "last") else 3
        return [MemberResult(identity, epoch, state, 1.0 / epoch, outputs) for epoch in range(1, count + 1)]


def run_plan(case: Case, context: FakeContext) -> tuple[list[Sequence[MemberSpecification]], object]:
    """Run a strategy to its end with members that answer at random; return its rounds and its outcome."""
    plan = case.component.plan(context)
    rounds: list[Sequence[MemberSpecification]] = []
    try:
        wanted = next(plan)
        while len(rounds) < ROUNDS:
            rounds.append(wanted)
            wanted = plan.send([result for each in wanted for result in context.train(each)])
    except StopIteration as end:
        return rounds, end.value
    raise AssertionError(f"{case.label}: the plan has not ended after {ROUNDS} rounds")


def plans_members_of_training_rows(case: Case) -> None:
    """It ends; its members have names of their own and train on training rows; its outcome is one of the three."""
    for task in Task:
        rounds, outcome = run_plan(case, FakeContext(case, task))
        names = [specification.identity for wanted in rounds for specification in wanted]
        assert len(set(names)) == len(names), f"{case.label}: two members have one identity: {names}"
        for rows in (each.training_rows for wanted in rounds for each in wanted):
            inside = rows is None or bool((rows < TRAINING_ROWS).all())
            assert inside, f"{case.label}: a member trains on rows that are not training rows"
        kinds = Combination | AveragedWeights | SingleMember
        assert isinstance(outcome, kinds), f"{case.label}: the plan returns {outcome!r}, expected {kinds}"


def plans_the_same_again(case: Case) -> None:
    """Given the same context and results it asks for the same members: resuming replays finished rounds."""
    first, second = (run_plan(case, FakeContext(case, Task.MULTICLASS))[0] for _ in range(2))
    names = [[[each.identity for each in wanted] for wanted in rounds] for rounds in (first, second)]
    assert names[0] == names[1], f"{case.label}: a plan asked twice wants {names[0]}, then {names[1]}"
    for one, two in zip((e for w in first for e in w), (e for w in second for e in w), strict=True):
        for key, value in vars(one).items():
            if isinstance(value, Tensor):
                assert_equal(vars(two)[key], value, f"{case.label}: {key} of {one.identity} differs when asked again")


def combines_into_outputs(case: Case) -> None:
    """A combination, built again from its settings as JSON, turns (M, B, O) into finite (B, O)."""
    for task in Task:
        context = FakeContext(case, task)
        _, outcome = run_plan(case, context)
        if isinstance(outcome, Combination):
            settings = json.loads(json.dumps(outcome.settings, allow_nan=False))
            module: nn.Module = case.component.combine(settings, outcome.state)
            given = torch.stack([context.outputs_of(name, context.validation_rows) for name in outcome.members])
            output = module.eval()(given)
            assert output.shape == given.shape[1:], f"{case.label} for {task}: combined into {tuple(output.shape)}"
            assert_finite(output, f"{case.label} for {task}")


LAWS = (
    Law(proposes_settings_of_the_space, ("search",)),
    Law(searches_the_same_way_with_one_seed, ("search",)),
    Law(goes_on_where_it_was, ("search",)),
    Law(shares_the_work, ("search",)),
    Law(plans_members_of_training_rows, ("ensemble",)),
    Law(plans_the_same_again, ("ensemble",)),
    Law(combines_into_outputs, ("ensemble",)),
)
