"""How good ensembles are: `python tests/bench/bench_ensemble_quality.py [--seeds 0-9] [--keep FILE]`.

The job of `bench_ensemble.py`, on one stratified split a seed: 20 % test; of the other 80 % an eighth is validation
rows, for both sides (`--validation 0`: none, and all of the 80 % is trained on). Each side standardizes by its training
rows. Seeds are those of the splits. dlcli is used by its defaults; torchensemble 0.2.0 by its documented interface,
with validation rows as `test_loader`. Where it is missing: `pip install --no-deps torchensemble==0.2.0`, or
`--no-rival`.

- NLL is the mean of -log of the probability of the true class on test rows, in nats, probabilities clamped to 1e-7 from
  below; ECE has 15 bins of equal width. Both are computed here, alike for both sides, from dlcli's
  `load(run).probabilities` and from the rival's `predict`, which returns probabilities.
- With `test_loader` the rival's boosting ends after two rounds without a better accuracy, which is early; so it also
  trains all rounds without one, on the same rows (`gradient_boosting, all rounds`).
- `single` is one network at its best epoch on validation rows, as dlcli trains it by default; `single_last` the same
  training at its last epoch; `early_stopped` ends after 5 epochs without a better one.
- `snapshot` has the 30 epochs of one training in five cycles; `distill` learns from the run of `voting`.

What trains one network (the single nets, `snapshot`, `distill`) varies with its seed by more than ensembles gain, so
each is trained with four seeds a split, and their scores are averaged.

breast_cancer and diabetes stand beside, with `early_stopped` as their baseline; diabetes, its target standardized by
training rows for both, is scored by the root mean squared error in the target's own units. Differences are paired by
split; the interval of their mean is Student's, 95 %.
Defaults of strategies were chosen on seeds from 100 on; the figures to report are those of seeds 0 to 9.
"""

import argparse
import json
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from ensemble_rival import MEMBERS, Split, recipe, rival, split
from scipy import stats
from torch import Tensor

import dlcli
from dlcli.plugins import Plugins, load_plugins

Scores = dict[str, float]
DATASETS = ("digits", "breast_cancer", "diabetes")
STRATEGIES = ("voting", "bagging", "gradient_boosting", "snapshot")
SINGLES: Mapping[str, tuple[str, ...]] = {
    "single": (),
    "single_last": ("train.select=last",),
    "early_stopped": ('regularizers=[{name = "early_stopping", patience = 5}]',),
}
ENSEMBLES: Mapping[str, tuple[str, ...]] = {
    "voting": (),
    "bagging": (),
    "bagging, 80 % each": ("ensemble.strategy.samples=0.8", "ensemble.strategy.replacement=false"),
    "bagging, 90 % each": ("ensemble.strategy.samples=0.9", "ensemble.strategy.replacement=false"),
    "gradient_boosting": (),
}
BINS, LEAST = 15, 1e-7
CYCLES = 5
REPEATS, REPEATS_APART = 4, 1000
ALL_ROUNDS = "gradient_boosting, all rounds"


def scores(output: Tensor, data: Split) -> Scores:
    """Return what a model's answers for the test rows are worth: probabilities (B, K), or targets (B, 1)."""
    target = torch.from_numpy(data.y[data.test])
    if not data.classes:
        return {"rmse": float((output.squeeze(1).double() - target.double()).square().mean().sqrt())}
    if output.shape[1] == 1:
        output = torch.cat([1 - output, output], dim=1)
    output, target = output.double(), target.long()
    confidence, guess = output.max(dim=1)
    right = (guess == target).double()
    place = (confidence * BINS).long().clamp(max=BINS - 1)
    gap = torch.zeros(BINS, dtype=torch.float64).index_add(0, place, right - confidence)
    true = output.gather(1, target.unsqueeze(1)).clamp_min(LEAST)
    return {
        "nll": float(-true.log().mean()),
        "ece": float(gap.abs().sum()) / len(target),
        "error": 1 - float(right.mean()),
    }


def mean_of(each: Sequence[Scores]) -> Scores:
    return {figure: statistics.fmean(one[figure] for one in each) for figure in each[0]}


def ours(data: Split, seed: int, plugins: Plugins) -> dict[str, Scores]:
    """Train everything of dlcli's on one split, by its defaults."""
    found: dict[str, Scores] = {}
    seeds = [seed + REPEATS_APART * place for place in range(REPEATS)]
    with tempfile.TemporaryDirectory() as folder:
        path, runs = Path(folder) / "data.h5", Path(folder) / "runs"
        data.write(path)
        validated = len(data.validation) > 0
        job = recipe(path, seed, validated=validated)
        x = torch.from_numpy(data.x[data.test])
        _, _, middle, scale = data.standardized()

        def judge(run: Path) -> Scores:
            model = dlcli.load(run, plugins=plugins)
            with torch.inference_mode():
                return scores(model.probabilities(x) if data.classes else model(x) * scale + middle, data)

        def ensemble(source: Any, strategy: str, *changes: str) -> Path:
            return dlcli.ensemble(source, strategy=strategy, overrides=changes, runs=runs, plugins=plugins).run

        def repeated(train: Callable[[int], Path]) -> Scores:
            return mean_of([judge(train(one)) for one in seeds])

        def alone(one: int, changes: Sequence[str]) -> Path:
            table = {key: value for key, value in recipe(path, one, validated=validated).items() if key != "ensemble"}
            return dlcli.train(table, overrides=changes, runs=runs, plugins=plugins).run

        for name, changes in SINGLES.items():
            if validated or name == "single":  # without validation rows, that is the last epoch
                found[name] = repeated(lambda one, changes=changes: alone(one, changes))  # type: ignore[misc]
        for strategy, changes in ENSEMBLES.items():
            found[strategy] = judge(teacher := ensemble(job, strategy.split(",")[0], *changes))
            if strategy == "voting":
                found["distill"] = repeated(lambda one, run=teacher: ensemble(run, "distill", f"seed={one}"))  # type: ignore[misc]
        found["snapshot"] = repeated(
            lambda one: ensemble(recipe(path, one, validated=validated), "snapshot", f"ensemble.members={CYCLES}")
        )
    return found


def rivals(data: Split, seed: int) -> dict[str, Scores]:
    """Train everything of the rival's on one split."""
    found = {
        f"rival {strategy}": rival(strategy, data, seed, members=CYCLES if strategy == "snapshot" else MEMBERS)
        for strategy in STRATEGIES
    }
    if len(data.validation):
        found[f"rival {ALL_ROUNDS}"] = rival("gradient_boosting", data, seed, judged=False)
    return {name: scores(output, data) for name, output in found.items()}


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the mean with its 95 % interval, Student's."""
    mean, error = statistics.fmean(values), statistics.stdev(values) / math.sqrt(len(values))
    half = float(stats.t.ppf(0.975, len(values) - 1)) * error
    return mean, mean - half, mean + half


def kept_gain(
    single: Sequence[float], student: Sequence[float], ensemble: Sequence[float]
) -> tuple[float, float, float]:
    """Return the share of the ensemble's gain that the student keeps: a ratio of means, Fieller's 95 % interval."""
    numerator = [a - b for a, b in zip(single, student, strict=True)]
    denominator = [a - b for a, b in zip(single, ensemble, strict=True)]
    n = len(single)
    square = float(stats.t.ppf(0.975, n - 1)) ** 2 / n
    top, bottom = statistics.fmean(numerator), statistics.fmean(denominator)
    covariance = statistics.covariance(numerator, denominator)
    a = bottom**2 - square * statistics.variance(denominator)
    b = top * bottom - square * covariance
    c = top**2 - square * statistics.variance(numerator)
    if a <= 0:  # the ensemble's own gain is not certain, and then no share of it is
        return top / bottom, -math.inf, math.inf
    root = math.sqrt(max(b**2 - a * c, 0.0))
    return top / bottom, (b - root) / a, (b + root) / a


def comparisons(dataset: str, rival_there: bool, validated: bool) -> list[tuple[str, str, str, str]]:
    """Return what is compared: whose figure, with whose, which, and what is asked of the difference."""
    if dataset != "digits":
        figure = "rmse" if dataset == "diabetes" else "nll"
        names = STRATEGIES if rival_there else ()
        base = "early_stopped" if validated else "single"
        beside = [(name, base, figure, "") for name in (*STRATEGIES, "distill")]
        return beside + [(name, f"rival {name}", figure, "") for name in names]
    asked = [("snapshot", "single", "nll", "< 0")]
    if validated:
        asked += [("snapshot", "single_last", "nll", "")]
    if rival_there:
        asked += [
            ("bagging", "rival bagging", "nll", "< 0"),
            ("bagging, 80 % each", "rival bagging", "nll", ""),
            ("bagging, 90 % each", "rival bagging", "nll", ""),
            ("voting", "rival voting", "nll", "≤ 0 in the interval"),
            ("gradient_boosting", "rival gradient_boosting", "nll", "< 0"),
            ("gradient_boosting", "rival gradient_boosting", "ece", "< 0"),
            *[("gradient_boosting", f"rival {ALL_ROUNDS}", figure, "< 0") for figure in ("nll", "ece") if validated],
            ("snapshot", "rival snapshot", "nll", ""),
            ("bagging", "rival bagging", "ece", ""),
            ("voting", "rival voting", "ece", ""),
        ]
    return asked


def report(dataset: str, found: Sequence[Mapping[str, Scores]], *, validated: bool) -> dict[str, object]:
    """Print one dataset's tables, and return what they hold."""
    names = list(found[0])
    figures = list(found[0][names[0]])

    def column(name: str, figure: str) -> list[float]:
        return [each[name][figure] for each in found]

    means = {name: {figure: statistics.fmean(column(name, figure)) for figure in figures} for name in names}
    print(f"\n{dataset}, {len(found)} splits, means\n{'':<26}" + "".join(f"{figure:>9}" for figure in figures))
    for name in names:
        print(f"{name:<26}" + "".join(f"{means[name][figure]:9.4f}" for figure in figures))
    print("paired differences")
    differences = []
    for mine, other, figure, asked in comparisons(dataset, f"rival {STRATEGIES[0]}" in names, validated):
        pairs = zip(column(mine, figure), column(other, figure), strict=True)
        mean, low, high = interval([a - b for a, b in pairs])
        verdict = ""
        if asked:
            met = low <= 0 if "interval" in asked else high < 0
            verdict = f"  asked for: {asked}; {'reached' if met else 'MISSED'}"
        print(f"{mine + ' - ' + other:<44}{figure:<5}{mean:+9.4f}  [{low:+.4f}, {high:+.4f}]{verdict}")
        differences.append({"of": mine, "minus": other, "figure": figure, "mean": mean, "interval": [low, high]})
    result: dict[str, object] = {"means": means, "differences": differences}
    if dataset == "digits":
        gains = [column(name, "nll") for name in ("single", "distill", "voting")]
        share, low, high = kept_gain(*gains)
        print(f"share of voting's gain that distill keeps: {share:.2f}  [{low:.2f}, {high:.2f}]  asked for: ≥ 0.5")
        result["kept_gain"] = {"share": share, "interval": [low, high]}
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="0-9", help="first and last, two seeds at least")
    parser.add_argument("--datasets", nargs="*", default=list(DATASETS), choices=DATASETS)
    parser.add_argument("--validation", type=float, default=0.125, help="share of the 80 %% that is no test rows")
    parser.add_argument("--no-rival", action="store_true")
    parser.add_argument("--keep", type=Path, help="JSON file of scores: those in it are taken, new ones are added")
    parser.add_argument("--json", type=Path, help="write means, differences and every split's scores here")
    options = parser.parse_args()
    torch.set_num_threads(1)
    plugins = load_plugins()
    first, _, last = options.seeds.partition("-")
    seeds = range(int(first), int(last or first) + 1)
    kept: dict[str, dict[str, Scores]] = (
        json.loads(options.keep.read_text()) if options.keep and options.keep.exists() else {}
    )
    everything: dict[str, object] = {}
    for name in options.datasets:
        found = []
        for seed in seeds:
            start = time.process_time()
            data = split(name, seed, options.validation)
            sides: dict[str, Callable[[], dict[str, Scores]]] = {"ours": partial(ours, data, seed, plugins)}
            if not options.no_rival:
                sides["rival"] = partial(rivals, data, seed)
            both: dict[str, Scores] = {}
            for side, work in sides.items():
                key = f"{name} {options.validation:g} {seed} {side}"
                if key not in kept:
                    kept[key] = work()
                    if options.keep:
                        options.keep.write_text(json.dumps(kept))
                both |= kept[key]
            found.append(both)
            print(f"{name} {seed}: {time.process_time() - start:.0f} s of CPU", file=sys.stderr, flush=True)
        everything[name] = {**report(name, found, validated=options.validation > 0), "splits": found}
    if options.json:
        options.json.write_text(json.dumps(everything))


if __name__ == "__main__":
    main()
