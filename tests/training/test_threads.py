import pytest
import torch

from dlcli.training.network import build_network
from dlcli.training.threads import multiply_adds, suitable_threads

CPU = torch.device("cpu")


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_the_estimate_of_an_mlp_is_its_weights_times_its_rows(member, registry):
    own = member(architecture=registry.create("architecture", "mlp", hidden=[32]), batch_size=10)
    assert multiply_adds(build_network(own, CPU), own) == 10 * (64 * 32 + 32 * 10)


def test_a_small_network_computes_with_one_thread_and_the_number_comes_back(member, two_threads):
    own = member()
    with suitable_threads(build_network(own, CPU), own):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2


def test_a_large_network_computes_with_all(member, registry, two_threads):
    own = member(architecture=registry.create("architecture", "mlp", hidden=[1024, 1024]))
    with suitable_threads(build_network(own, CPU), own):
        assert torch.get_num_threads() == 2
