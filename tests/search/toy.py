"""A search without training: the trials' scores are sums. Run as a program, it is one worker of a search."""

import json
import os
import sys
import time
from pathlib import Path

from dlcli import atomic
from dlcli.contracts.search import Search, Uniform
from dlcli.errors import Interrupted
from dlcli.search import claims
from dlcli.search.budget import Budget
from dlcli.search.processes import follow_parent
from dlcli.search.search_file import SearchFile, SearchPlan
from dlcli.search.trials import TrialOutcome
from dlcli.search.worker import work

SPACE = {"x": Uniform(0.0, 1.0), "y": Uniform(1e-3, 1.0, log=True), "n": Uniform(1, 9, whole=True)}


class Even(Search):
    """A method that needs no random numbers: trial k gets the k-th point of an additive sequence."""

    name = "even"

    def start(self, space, direction, seed, previous=()):
        return EvenSearcher(space, previous)


class EvenSearcher:
    def __init__(self, space, previous):
        self.space, self.previous, self.told, self.waiting = space, previous, [], []

    def ask(self, trials):
        return [
            {key: each.at((0.31 + (trial + 1) * 0.6180339887 * (place + 1)) % 1) for place, (key, each) in
             enumerate(self.space.items())}
            for trial in trials
        ]  # fmt: skip

    def tell(self, trial, setting, score):
        self.told.append((trial, score))

    def pending(self, trial, setting):
        self.waiting.append(trial)


class Silent:
    """A watch that remembers."""

    def __init__(self):
        self.notes, self.started, self.finished, self.reported, self.stop = [], [], [], [], False
        self.states = 0

    def interrupted(self):
        return self.stop

    def state_changed(self, state):
        self.states += 1

    def population_started(self, population):
        self.started.append(population.number)

    def trial_reported(self, number, epoch, value):
        self.reported.append((number, epoch, value))

    def population_finished(self, population, outcomes):
        self.finished.append(population.number)

    def note(self, text):
        self.notes.append(text)


def score(setting, fold, epoch):
    """A trial's value: the better the nearer x is to 0.3; falling with the epochs, a little different by fold."""
    return (setting["x"] - 0.3) ** 2 + 0.1 * setting["y"] + 0.01 * fold + 1 / (epoch + 1)


def run_by(seconds=0.0, value=score, save=True):
    """A function that runs a population, `seconds` an epoch, going on from where another was killed."""

    def run(population, report):
        place = population.folder / "epoch.json"
        epoch = json.loads(place.read_text()) if place.exists() else 0
        with (population.folder / "runs.txt").open("a") as file:
            file.write(f"{os.getpid()} from {epoch}\n")
        alive = {number: setting for number, setting in population.trials}
        outcomes = {}
        for now in range(1, population.epochs + 1):
            values = {number: value(setting, population.fold, now) for number, setting in alive.items()}
            if now > epoch:
                time.sleep(seconds)
                if report.interrupted():
                    raise Interrupted("saved")
                for number, found in values.items():
                    report(number, now, found)
                if save:
                    atomic.write_json(place, now)
            if now in population.rungs:
                kept = sorted(alive, key=lambda number: (values[number], number))[: (len(alive) + 1) // 2]
                for number in set(alive) - set(kept):
                    outcomes[number] = TrialOutcome(number, values[number], now, now, seconds, pruned=True)
                    del alive[number]
        for number in alive:
            outcomes[number] = TrialOutcome(number, values[number], population.epochs, population.epochs, seconds)
        return [outcomes[number] for number, _ in population.trials]

    return run


def narrow(space, scored, direction):
    """Keep the half of x that is nearer to the best."""
    best = min(scored, key=lambda item: item[1])[0]["x"]
    half = (space["x"].high - space["x"].low) / 4
    return {**space, "x": Uniform(max(best - half, 0.0), min(best + half, 1.0))}


def make(directory, *, trials=12, minutes=None, **changes):
    """Begin a search."""
    plan = {
        "run": "toy/0001",
        "direction": "min",
        "monitor": "val_loss",
        "space": SPACE,
        "method": {"name": "even"},
        "seed": 0,
        "recipe": "digest",
        "epochs": 3,
        "population": 4,
        "halving": False,
        "lease_seconds": 2.0,
        **changes,
    }
    SearchFile(directory).create(SearchPlan(**plan), Budget(trials, minutes))


def go(directory, *, run=None, watch=None, method=None, helpers=None):
    """Work on a search in this process."""
    watch = watch or Silent()
    return work(
        directory,
        run=run or run_by(),
        method=method or Even(),
        narrow=narrow,
        watch=watch,
        helpers=helpers,
    )


if __name__ == "__main__":
    import signal

    follow_parent(poll_seconds=0.1)
    if len(sys.argv) > 3:
        claims.machine = lambda: sys.argv[3]  # as if on another machine, where nothing is known of processes here
    watch = Silent()
    signal.signal(signal.SIGTERM, lambda *_: setattr(watch, "stop", True))
    signal.signal(signal.SIGINT, lambda *_: setattr(watch, "stop", True))
    try:
        go(Path(sys.argv[1]), run=run_by(float(sys.argv[2])), watch=watch)
    except Interrupted as error:
        print(error, file=sys.stderr)
        sys.exit(130)
