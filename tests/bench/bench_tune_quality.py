"""How good a search is for its epochs: `python tests/bench/bench_tune_quality.py [--seeds 0-19]`.

Fixed before the first run, and not changed since: the network, the space, the splits, the budget, the contestants.

An MLP with two hidden layers of one width, trained with AdamW in batches of 32 for 27 epochs at most, on four datasets
of scikit-learn, standardized, 70 % for training and 30 % for validation. Every search has 540 epochs in all and is
scored by the lowest validation loss that it saw in any epoch of any trial within them.

- ours: dlcli's `tpe` with halving, through the real loop of a worker (`dlcli.search.worker.work`), in populations of
  the size that `dlcli tune` takes by default for as many trials as these epochs come to.
- optuna: TPESampler with SuccessiveHalvingPruner(min_resource=3, reduction_factor=3), told of every epoch.
- random: random settings, every one trained for 27 epochs.

All three train with one quick loop, so that they differ in the search alone: which settings are tried, and who is
stopped when. Halving within a population is `fit`'s: at a rung the worse half of those in training, by the best value
so far, leaves. Tuning of the search was done on seeds from 100 on; the figures to report are those of seeds 0 to 19.
"""

import argparse
import json
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import optuna
import torch
from bench_tune_cost import Unwatched
from interleaved import median_interval
from sklearn import datasets
from torch import Tensor, nn
from torch.nn import functional as F

from dlcli.builtin.searches.random import random_setting
from dlcli.builtin.searches.tpe import TreeParzen
from dlcli.contracts.randomness import derive
from dlcli.contracts.search import Choice, Setting, Uniform
from dlcli.search.budget import Budget, population_size
from dlcli.search.search_file import SearchFile, SearchPlan
from dlcli.search.trials import Population, TrialOutcome
from dlcli.search.watch import Report
from dlcli.search.worker import work

BUDGET, EPOCHS, BATCH = 540, 27, 32
TRIALS = 51
"""Trials that 540 epochs come to with halving at 3 and 9 of 27 epochs: 10.5 epochs each."""
DATASETS = ("digits", "breast_cancer", "wine", "diabetes")
SPACE = {
    "lr": Uniform(1e-5, 1e-1, log=True),
    "weight_decay": Uniform(1e-4, 1e1, log=True),
    "dropout": Uniform(0.0, 0.6),
    "width": Uniform(16, 256, log=True, whole=True),
    "activation": Choice(("relu", "tanh", "gelu")),
}
ACTIVATIONS: Mapping[object, Callable[[Tensor], Tensor]] = {"relu": torch.relu, "tanh": torch.tanh, "gelu": F.gelu}


class Data:
    """One dataset, standardized by its training rows."""

    def __init__(self, name: str) -> None:
        found = getattr(datasets, f"load_{name}")()
        x = torch.tensor(found.data, dtype=torch.float32)
        self.classes = 1 if name == "diabetes" else len(found.target_names)
        y = torch.tensor(found.target, dtype=torch.float32 if self.classes == 1 else torch.int64)
        order = torch.randperm(len(y), generator=torch.Generator().manual_seed(0))
        training, validation = order[: int(0.7 * len(y))], order[int(0.7 * len(y)) :]
        x = (x - x[training].mean(0)) / x[training].std(0).clamp_min(1e-8)
        if self.classes == 1:
            y = ((y - y[training].mean()) / y[training].std()).unsqueeze(1)
        self.x, self.y, self.val_x, self.val_y = x[training], y[training], x[validation], y[validation]

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        return F.mse_loss(output, target) if self.classes == 1 else F.cross_entropy(output, target)


class Network(nn.Module):
    def __init__(self, data: Data, setting: Setting) -> None:
        super().__init__()
        width = int(setting["width"])  # type: ignore[arg-type]
        self.first = nn.Linear(data.x.shape[1], width)
        self.second = nn.Linear(width, width)
        self.head = nn.Linear(width, data.classes)
        self.activation = ACTIVATIONS[setting["activation"]]
        self.rate = float(setting["dropout"])  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        for layer in (self.first, self.second):
            x = F.dropout(self.activation(layer(x)), self.rate, self.training)
        output: Tensor = self.head(x)
        return output


def epochs_of(data: Data, setting: Setting, seed: int) -> Iterator[float]:
    """Train a network, and yield its validation loss after each epoch; infinite where it diverged."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed % 2**63)
        network = Network(data, setting)
        state = torch.get_rng_state()
    rate, decay = float(setting["lr"]), float(setting["weight_decay"])  # type: ignore[arg-type]
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=decay, fused=True)
    for _ in range(EPOCHS):
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(state)
            network.train()
            for index in torch.randperm(len(data.y)).split(BATCH):
                loss = data.loss(network(data.x.index_select(0, index)), data.y.index_select(0, index))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            state = torch.get_rng_state()
        network.eval()
        with torch.no_grad():
            value = float(data.loss(network(data.val_x), data.val_y))
        yield value if math.isfinite(value) else math.inf


class Course:
    """The lowest loss after each epoch that a search spent."""

    def __init__(self) -> None:
        self.best: list[float] = []

    def add(self, value: float) -> None:
        self.best.append(min(value, self.best[-1]) if self.best else value)

    @property
    def full(self) -> bool:
        return len(self.best) >= BUDGET


def ours(data: Data, seed: int) -> list[float]:
    course = Course()

    def run(population: Population, report: Report) -> list[TrialOutcome]:
        training = {n: epochs_of(data, setting, derive(seed, "ours", n)) for n, setting in population.trials}
        seen: dict[int, list[float]] = {number: [] for number in training}
        for epoch in range(1, population.epochs + 1):
            for number, epochs in training.items():
                seen[number].append(next(epochs))
                course.add(seen[number][-1])
                report(number, epoch, seen[number][-1])
            if epoch in population.rungs:
                ranked = sorted(training, key=lambda number: min(seen[number]))
                training = {number: training[number] for number in sorted(ranked[: len(ranked) - len(ranked) // 2])}
        return [_outcome(number, values, number not in training) for number, values in seen.items()]

    size = population_size(TRIALS)
    plan = SearchPlan("bench", "min", "val_loss", SPACE, {}, seed, "", EPOCHS, population=size)
    with tempfile.TemporaryDirectory() as folder:
        SearchFile(Path(folder)).create(plan, Budget(TRIALS + size))
        work(Path(folder), run=run, method=TreeParzen(), narrow=lambda space, *_: space, watch=Unwatched())
    return course.best


def _outcome(number: int, values: Sequence[float], pruned: bool) -> TrialOutcome:
    best = min(values)
    if not math.isfinite(best):
        return TrialOutcome(number, None, len(values), 0, reason="diverged")
    return TrialOutcome(number, best, len(values), values.index(best) + 1, pruned=pruned)


def by_hand(data: Data, seed: int) -> list[float]:
    course = Course()

    def objective(trial: optuna.Trial) -> float:
        setting: Setting = {
            "lr": trial.suggest_float("lr", 1e-5, 1e-1, log=True),
            "weight_decay": trial.suggest_float("weight_decay", 1e-4, 1e1, log=True),
            "dropout": trial.suggest_float("dropout", 0.0, 0.6),
            "width": trial.suggest_int("width", 16, 256, log=True),
            "activation": trial.suggest_categorical("activation", ["relu", "tanh", "gelu"]),
        }
        best = math.inf
        for epoch, value in enumerate(epochs_of(data, setting, derive(seed, "optuna", trial.number)), start=1):
            course.add(value)
            best = min(best, value)
            trial.report(value, epoch)
            if trial.should_prune():
                raise optuna.TrialPruned
        return best

    sampler = optuna.samplers.TPESampler(seed=seed)
    pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=3, reduction_factor=3)
    study = optuna.create_study(sampler=sampler, pruner=pruner)
    study.optimize(objective, callbacks=[lambda study, trial: study.stop() if course.full else None])
    return course.best


def at_random(data: Data, seed: int) -> list[float]:
    course = Course()
    for number in range(BUDGET // EPOCHS):
        for value in epochs_of(data, random_setting(SPACE, derive(seed, "random"), number), derive(seed, "r", number)):
            course.add(value)
    return course.best


CONTESTANTS = {"ours": ours, "optuna": by_hand, "random": at_random}


def ranks(scores: Mapping[str, float]) -> dict[str, float]:
    """Return the rank of each, 1 for the lowest; equal ones share theirs."""
    return {
        name: sum(other < score for other in scores.values())
        + (1 + sum(other == score for other in scores.values())) / 2
        for name, score in scores.items()
    }


def mean_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the mean with its 95 % interval, from a normal distribution of the mean."""
    mean, half = statistics.fmean(values), 1.96 * statistics.stdev(values) / math.sqrt(len(values))
    return mean, mean - half, mean + half


def report(courses: Mapping[str, Mapping[str, Sequence[Sequence[float]]]]) -> None:
    """Print the figures; courses by dataset, contestant and seed."""
    all_differences: list[float] = []
    all_factors: list[float] = []
    for name, by_contestant in courses.items():
        finals = {who: [course[:BUDGET][-1] for course in each] for who, each in by_contestant.items()}
        rows = [dict(zip(finals, row, strict=True)) for row in zip(*finals.values(), strict=True)]
        ranked = [ranks(row) for row in rows]
        differences = [row["ours"] - row["optuna"] for row in ranked]
        factors, found = [], []
        for own, other in zip(by_contestant["ours"], by_contestant["random"], strict=True):
            goal = other[:BUDGET][-1]
            reached = next((i for i, value in enumerate(own[:BUDGET], start=1) if value <= goal), None)
            factors.append(BUDGET / reached if reached else 0.0)
            found.append((other.index(goal) + 1) / reached if reached else 0.0)
        mean, low, high = mean_interval(differences)
        middle = ", ".join(f"{who} {statistics.median(values):.4f}" for who, values in finals.items())
        mean_ranks = ", ".join(f"{who} {statistics.fmean(row[who] for row in ranked):.2f}" for who in finals)
        print(f"{name}: median loss {middle}; mean rank {mean_ranks}")
        print(
            f"  rank ours - optuna {mean:+.2f} [{low:+.2f}, {high:+.2f}]; epochs of random / ours, median "
            f"{statistics.median(factors):.2f} (to when random found it: {statistics.median(found):.2f})"
        )
        all_differences += differences
        all_factors += factors
    mean, low, high = mean_interval(all_differences)
    verdict = "not worse" if low <= 0 else "worse"
    print(f"rank difference ours - optuna: {mean:+.3f}  [{low:+.3f}, {high:+.3f}]  asked for: not worse; {verdict}")
    low, high = median_interval(all_factors)
    middle = statistics.median(all_factors)
    print(f"epochs of random over ours to random's final loss: {middle:.2f}  [{low:.2f}, {high:.2f}]  asked for: ≥ 3")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="0-19", help="first and last, two seeds at least")
    parser.add_argument("--datasets", nargs="*", default=list(DATASETS))
    parser.add_argument("--keep", type=Path, help="JSON file of courses: those in it are taken, new ones are added")
    options = parser.parse_args()
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    first, _, last = options.seeds.partition("-")
    seeds = range(int(first), int(last or first) + 1)
    kept = json.loads(options.keep.read_text()) if options.keep and options.keep.exists() else {}
    courses: dict[str, dict[str, list[list[float]]]] = {}
    start = time.process_time()
    for name in options.datasets:
        data = Data(name)
        for who, search in CONTESTANTS.items():
            for seed in seeds:
                key = f"{name} {who} {seed}"
                if key not in kept:
                    kept[key] = search(data, seed)
                courses.setdefault(name, {}).setdefault(who, []).append(kept[key])
        if options.keep:
            options.keep.write_text(json.dumps(kept))
    print(f"{time.process_time() - start:.0f} s of CPU")
    report(courses)


if __name__ == "__main__":
    main()
