import subprocess
import sys

import pytest
import torch
from torch import nn

from dlcli.experiment.models.bounded import Bounded, OutOfBounds, bytes_of

BYTES = 2**20


@pytest.mark.parametrize(
    "compute",
    [
        lambda: nn.Linear(10**6, 10**6),
        lambda: torch.randn(10**12, generator=torch.Generator()),
        lambda: torch.arange(10**12),
        lambda: torch.eye(10**7),
        lambda: torch.ones(10**4, 1) + torch.ones(1, 10**4),
        lambda: torch.ones(3).repeat(10**12),
        lambda: torch.ones(1).expand(10**9).contiguous(),
        lambda: torch.ones(1).new_zeros(10**12),
        lambda: nn.functional.pad(torch.ones(1, 1, 1), (10**12, 0)),
        lambda: [torch.ones(10**5) for _ in range(3)],
    ],
)
def test_what_takes_more_memory_is_not_begun(compute):
    with (
        pytest.raises(OutOfBounds, match="^trying takes more than 1048576 bytes of memory$"),
        Bounded(BYTES, 99, "trying"),
    ):
        compute()


def test_what_takes_more_operations_is_ended():
    endless = (torch.ones(1) for _ in range(10**9))
    with pytest.raises(OutOfBounds, match="^trying takes more than 99 operations$"), Bounded(BYTES, 99, "trying"):
        list(endless)


def test_values_are_real_and_the_same():
    def compute():
        torch.manual_seed(3)
        network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 36, 2))
        nn.init.orthogonal_(network[3].weight)
        return network(torch.randn(2, 1, 8, 8)) * torch.linspace(0, 1, 3)[1].item()

    expected = compute()
    with Bounded(BYTES, 999, "trying"):
        found = compute()
    assert torch.equal(found, expected)


def test_views_cost_nothing():
    with Bounded(BYTES, 99, "trying"):
        assert torch.ones(1).expand(10**6, 10**6).shape == (10**6, 10**6)


def test_bytes_of_tensors():
    assert bytes_of([torch.ones(3), torch.ones(2, dtype=torch.int64)]) == 28


def test_it_does_not_import_the_compiler():
    code = (
        "import sys, torch; from dlcli.experiment.models.bounded import Bounded\n"
        "with Bounded(2**30, 99, 'trying'): torch.nn.Linear(200, 200)(torch.ones(1, 200))\n"
        "print('torch._dynamo' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
