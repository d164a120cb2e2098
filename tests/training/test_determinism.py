"""Deterministic mode: on while training, off afterwards, and an operation without it is told."""

import os
from typing import ClassVar

import pytest
import torch
from engines import CPU, Silent, train

from dlcli.contracts.architecture import Architecture
from dlcli.contracts.switches import Switches
from dlcli.errors import TrainingError
from dlcli.training.determinism import determinism


class Putting(torch.nn.Module):
    """Uses `put_`, of which torch has no deterministic implementation on any device."""

    def __init__(self):
        super().__init__()
        self.head = torch.nn.Linear(64, 10)

    def forward(self, x):
        return self.head(x) + torch.zeros(1).put_(torch.tensor([0]), torch.ones(1))


class Putter(Architecture):
    """A network of torch alone."""

    name: ClassVar[str] = "putter"

    def build(self, io):
        return Putting()


class Asking(Silent):
    """Notes whether torch is in deterministic mode while an epoch begins."""

    def epoch_started(self, *_):
        self.asked = (torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.deterministic)


@pytest.mark.parametrize("engine", ["loop", "vectorized"])
def test_it_is_on_while_training_alone(engine, member, batches, tmp_path):
    watch = Asking()
    torch.backends.cudnn.benchmark = True
    train([member(epochs=1, switches=Switches(deterministic=True))], batches, tmp_path / "on", engine, watch=watch)
    assert watch.asked == (True, True)
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.backends.cudnn.benchmark
    assert not torch.backends.cudnn.deterministic
    torch.backends.cudnn.benchmark = False
    train([member(epochs=1)], batches, tmp_path / "off", engine, watch=watch)
    assert watch.asked == (False, False)


def test_an_operation_without_it_is_told(member, batches, tmp_path):
    own = member(architecture=Putter(), epochs=1, switches=Switches(deterministic=True))
    with pytest.raises(TrainingError, match=r"needs the operation put_, of which torch .* on cpu; set train.determ"):
        train([own], batches, tmp_path / "on", "loop")
    assert not torch.are_deterministic_algorithms_enabled()
    train([member(architecture=Putter(), epochs=1)], batches, tmp_path / "off", "loop")


def test_cublas_is_asked_for_it_on_a_gpu_and_a_late_asking_is_told(monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    gpu = torch.device("cuda")
    with determinism(True, gpu):
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert "CUBLAS_WORKSPACE_CONFIG" not in os.environ
    with determinism(True, CPU):
        assert "CUBLAS_WORKSPACE_CONFIG" not in os.environ
    torchs = (
        "Deterministic behavior was enabled with ..., but this operation is not deterministic because it uses CuBLAS "
    )
    with (
        pytest.raises(TrainingError, match=r"needs CUBLAS_WORKSPACE_CONFIG=:4096:8 in the environment before .* start"),
        determinism(True, gpu),
    ):
        raise RuntimeError(f"{torchs} ... set an environment variable ... CUBLAS_WORKSPACE_CONFIG=:4096:8")


def test_other_errors_pass():
    with pytest.raises(RuntimeError, match="something else"), determinism(True, CPU):
        raise RuntimeError("something else")
