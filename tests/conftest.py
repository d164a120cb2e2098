"""Every test starts alike: no third party's plugins, one thread, and whatever it changes in the process is told."""

import os

import hypothesis
import pytest

hypothesis.settings.register_profile("dlcli", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("dlcli")
os.environ["DLCLI_PLUGINS"] = ""  # tests that want entry points say so
os.environ["OMP_NUM_THREADS"] = "1"  # a thread pool costs small networks more than it gives, and shares two cores badly


@pytest.fixture(autouse=True)
def _leaves_the_process_as_it_was():
    before, folder = dict(os.environ), os.getcwd()
    yield
    changed = {key for key in before.keys() | os.environ if before.get(key) != os.environ.get(key)}
    changed = {key for key in changed if not key.startswith(("PYTEST_", "TORCH", "KMP_"))}  # their own
    assert not changed, f"the test left these environment variables changed: {sorted(changed)}"
    assert os.getcwd() == folder, "the test left the process in another folder"
