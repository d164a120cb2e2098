"""Every test starts alike: no third party's plugins, one thread, and whatever it changes in the process is told."""

import functools
import os

import hypothesis
import pytest

hypothesis.settings.register_profile("dlcli", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("dlcli")
os.environ["DLCLI_PLUGINS"] = ""  # tests that want entry points say so
os.environ["OMP_NUM_THREADS"] = "1"  # a thread pool costs small networks more than it gives, and shares two cores badly


@pytest.fixture(scope="session")
def one_translation_table():
    """Exports to ONNX share the list of torch's translations, which takes half of a small network's export to make."""
    from torch.onnx._internal._lazy_import import onnxscript_apis

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onnxscript_apis, "get_torchlib_ops", functools.cache(onnxscript_apis.get_torchlib_ops))
        yield


@pytest.fixture(autouse=True)
def _leaves_the_process_as_it_was():
    before, folder = dict(os.environ), os.getcwd()
    yield
    changed = {key for key in before.keys() | os.environ if before.get(key) != os.environ.get(key)}
    changed = {key for key in changed if not key.startswith(("PYTEST_", "TORCH", "KMP_"))}  # their own
    assert not changed, f"the test left these environment variables changed: {sorted(changed)}"
    assert os.getcwd() == folder, "the test left the process in another folder"
