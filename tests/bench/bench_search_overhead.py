"""What the search costs beside the training: `python tests/bench/bench_search_overhead.py`.

Runs 400 trials that train nothing, with and without ten reported epochs: as dlcli's random search in populations of
eight and of one, and as Optuna's ask, report and tell with a random sampler and its own journal. Then joins a search of
1000 trials. CPU time, interleaved. Asked for: ≤ 5 ms a trial above Optuna's bare journal, ≤ 1 ms a report, < 1 s to
join.
"""

import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import optuna

from dlcli.builtin.searches.random import Random
from dlcli.contracts.search import Uniform
from dlcli.search.budget import Budget
from dlcli.search.search_file import SearchFile, SearchPlan
from dlcli.search.state import SearchState
from dlcli.search.trials import Population, TrialOutcome
from dlcli.search.watch import Report
from dlcli.search.worker import work

TRIALS, EPOCHS, POPULATION, ROUNDS = 400, 10, 8, 5
SPACE = {"lr": Uniform(1e-5, 1e-1, log=True), "decay": Uniform(1e-6, 1e-1, log=True), "rate": Uniform(0.0, 0.5)}


class Unwatched:
    def interrupted(self) -> bool:
        return False

    def state_changed(self, state: SearchState) -> None: ...

    def population_started(self, population: Population) -> None: ...

    def trial_reported(self, number: int, epoch: int, value: float) -> None: ...

    def population_finished(self, population: Population, outcomes: Sequence[TrialOutcome]) -> None: ...

    def note(self, text: str) -> None: ...


def search(directory: Path, trials: int, reports: bool, population: int = POPULATION) -> None:
    plan = SearchPlan("bench", "min", "val_loss", SPACE, {}, 0, "", EPOCHS, population=population, halving=False)
    SearchFile(directory).create(plan, Budget(trials))
    go(directory, reports)


def one_at_a_time(directory: Path, trials: int, reports: bool) -> None:
    search(directory, trials, reports, population=1)


def go(directory: Path, reports: bool) -> None:
    def run(population: Population, report: Report) -> list[TrialOutcome]:
        for epoch in range(1, EPOCHS + 1) if reports else ():
            for number, _ in population.trials:
                report(number, epoch, 1 / epoch)
        return [TrialOutcome(number, 1.0, EPOCHS, EPOCHS) for number, _ in population.trials]

    work(directory, run=run, method=Random(), narrow=lambda space, scored, direction: space, watch=Unwatched())


def bare(directory: Path, trials: int, reports: bool) -> None:
    path = str(directory / "bare.journal")
    lock = optuna.storages.journal.JournalFileOpenLock(path)
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(path, lock_obj=lock))
    study = optuna.create_study(storage=storage, sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(trials):
        trial = study.ask()
        trial.suggest_float("lr", 1e-5, 1e-1, log=True)
        trial.suggest_float("decay", 1e-6, 1e-1, log=True)
        trial.suggest_float("rate", 0.0, 0.5)
        for epoch in range(1, EPOCHS + 1) if reports else ():
            trial.report(1 / epoch, epoch)
        study.tell(trial, 1.0)


def cpu(run: Callable[[Path, int, bool], None], trials: int, reports: bool) -> float:
    """Return the CPU time of one search in a fresh directory, in milliseconds a trial."""
    directory = Path(tempfile.mkdtemp())
    try:
        before = time.process_time()
        run(directory, trials, reports)
        return 1e3 * (time.process_time() - before) / trials
    finally:
        shutil.rmtree(directory)


def main() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    taken: dict[tuple[str, bool], list[float]] = {}
    for _ in range(ROUNDS):
        for name, run in (("dlcli", search), ("dlcli, one at a time", one_at_a_time), ("optuna", bare)):
            for reports in (False, True):
                taken.setdefault((name, reports), []).append(cpu(run, TRIALS, reports))
    middle = {key: statistics.median(values) for key, values in taken.items()}
    for (name, reports), value in middle.items():
        print(f"{name:<22}{f'{EPOCHS} reports' if reports else 'no reports':<12}{value:8.3f} ms CPU a trial")
    for name in ("dlcli", "dlcli, one at a time"):
        above = middle[name, False] - middle["optuna", False]
        print(f"{name}, above Optuna's bare journal: {above:.3f} ms CPU a trial; asked for: ≤ 5")
    for name in ("dlcli", "dlcli, one at a time", "optuna"):
        a_report = (middle[name, True] - middle[name, False]) / EPOCHS
        print(f"a report, {name}: {a_report:.4f} ms CPU; asked for: ≤ 1")
    directory = Path(tempfile.mkdtemp())
    search(directory, 1000, True)
    wall, before = time.perf_counter(), time.process_time()
    go(directory, True)
    wall, before = time.perf_counter() - wall, time.process_time() - before
    print(f"joining 1000 trials: {wall:.3f} s wall, {before:.3f} s CPU; asked for: < 1 s")
    shutil.rmtree(directory)


if __name__ == "__main__":
    main()
