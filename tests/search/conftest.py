"""A search without training, for the tests of this folder."""

import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def toy():
    spec = importlib.util.spec_from_file_location("toy", Path(__file__).with_name("toy.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def load(toy):
    """Loads a stage's study as Optuna itself does."""

    def load(directory, stage=1, name="toy/0001"):
        import optuna

        path = str(directory / "search.journal")
        lock = optuna.storages.journal.JournalFileOpenLock(path)
        storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(path, lock_obj=lock))
        return optuna.load_study(study_name=f"{name}/stage-{stage}", storage=storage)

    return load
