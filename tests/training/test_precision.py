"""Lower precision: what computes in it, and what stays float32."""

from typing import ClassVar

import pytest
import torch
from engines import CPU, Silent, same_bits, train
from torch.nn import functional as F

from dlcli.contracts.batch import Batch
from dlcli.contracts.regularizer import Regularizer
from dlcli.contracts.switches import Switches
from dlcli.data.order import epoch_rows
from dlcli.errors import Interrupted, TrainingError
from dlcli.training.evaluation import evaluate
from dlcli.training.network import build_network
from dlcli.training.switched_step import SwitchedStep, make_step


class Seen(Regularizer):
    """Notes the gradients that it is shown."""

    name: ClassVar[str] = "seen"
    found: ClassVar[list[dict[str, torch.Tensor]]] = []

    def gradients(self, gradients, parameters):
        self.found.append({name: gradient.clone() for name, gradient in gradients.items()})
        return gradients


@pytest.fixture
def own(member, registry):
    def make(precision, **changes):
        return member(
            **{
                "architecture": registry.create("architecture", "mlp", hidden=[16]),
                "switches": Switches(precision=precision),
                "select": "last",
                "epochs": 2,
                **changes,
            }
        )

    return make


@pytest.fixture
def batch(dataset, member):
    x = member().preprocessing["x"][0](dataset.tensors["x"])[:64]
    return Batch((x,), dataset.tensors["y"][:64])


def stepped(own, batch, scale=None):
    network = build_network(own, CPU)
    step = make_step(own, network, torch.optim.SGD(network.parameters(), lr=0.5), CPU)
    if scale is not None:
        step.restore({"scale": scale, "_growth_tracker": 0})
    step.start_epoch(1)
    return step, network, step(batch)


def test_bfloat16_is_torchs_autocast_to_the_bit(own, dataset, batches, tmp_path):
    member = own("bfloat16")
    result = train([member], batches, tmp_path, "loop")[0]
    network = build_network(member, CPU)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3, fused=True)
    x, y = member.preprocessing["x"][0](dataset.tensors["x"]), dataset.tensors["y"]
    for epoch in (1, 2):
        rows, last = epoch_rows(member.training_rows, 64, seed=member.seed, epoch=epoch)
        for index, batch in enumerate(rows):
            with torch.autocast("cpu", torch.bfloat16):
                output = network(x[batch])
            assert output.dtype is torch.bfloat16
            if index == len(rows) - 1:
                values = F.cross_entropy(output.float(), y[batch], reduction="none")
                loss = torch.where(last == 0, 0.0, values * last).sum() / last.sum()
            else:
                loss = F.cross_entropy(output.float(), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    assert all(tensor.dtype is torch.float32 for tensor in result.state.values())
    assert all(torch.equal(result.state[name], tensor) for name, tensor in network.state_dict().items())


def test_figures_are_those_of_the_float32_network(own, batches, tmp_path):
    member = own("bfloat16")
    result = train([member], batches, tmp_path, "loop")[0]
    network = build_network(member, CPU)
    network.load_state_dict(dict(result.state))
    figures = evaluate(
        network,
        batches.evaluation(member, member.validation_rows),
        task=member.io.task,
        loss=member.loss,
        metrics=member.metrics,
    )
    assert result.history.records[-1].values["val_loss"] == figures["loss"]


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_losses_and_gradients_are_close_to_those_of_float32(precision, own, batch):
    losses, gradients = [], []
    for kind in ("float32", precision):
        Seen.found.clear()
        _, network, loss = stepped(own(kind, regularizers=(Seen(),)), batch)
        losses.append(loss)
        gradients.append(Seen.found[0])
    assert losses[1].dtype is torch.float32
    assert losses[1] != losses[0]
    torch.testing.assert_close(losses[1], losses[0], rtol=1e-2, atol=0)
    for name, gradient in gradients[0].items():
        assert gradients[1][name].dtype is torch.float32
        # Unscaled: float16's scale begins at 65536.
        torch.testing.assert_close(gradients[1][name], gradient, rtol=0, atol=0.05 * float(gradient.abs().max()))


def test_a_step_whose_gradients_are_not_finite_is_left_out_and_the_scale_falls(own, batch):
    member = own("float16")
    step, network, loss = stepped(member, batch, scale=2.0**100)
    before = build_network(member, CPU)
    assert loss.isfinite()
    for name, parameter in network.named_parameters():
        assert torch.equal(parameter, before.get_parameter(name))
    assert step.state() == {"scale": 2.0**99, "_growth_tracker": 0}
    step, network, _ = stepped(member, batch)
    assert step.state() == {"scale": 65536.0, "_growth_tracker": 1}
    assert not torch.equal(network.head.weight, before.head.weight)


def test_float16_resumes_to_the_same_bits_with_its_scale(own, batches, tmp_path, monkeypatch):
    scales = []
    taking = SwitchedStep.__call__
    monkeypatch.setattr(SwitchedStep, "__call__", lambda self, b: (scales.append(self.state()), taking(self, b))[1])
    member = own("float16", epochs=3)
    whole = train([member], batches, tmp_path / "whole", "loop")
    told, scales[:] = list(scales), []
    with pytest.raises(Interrupted):
        train([member], batches, tmp_path / "cut", "loop", watch=Silent(stop_after=1), seconds=0)
    same_bits(whole, train([member], batches, tmp_path / "cut", "loop", resume=True))
    assert scales == told
    assert told[8] == {"scale": 65536.0, "_growth_tracker": 8}


def test_penalties_on_outputs_are_float32(own, batch, registry):
    values = []

    class Watching(Regularizer):
        name: ClassVar[str] = "watching"
        activations: ClassVar[str] = "blocks.*"

        def activity(self, activations):
            values.extend(activations.values())
            return torch.stack([v.flatten(1).mean(1) for v in activations.values()]).sum(0)

    stepped(own("bfloat16", regularizers=(Watching(),)), batch)
    assert values
    assert {value.dtype for value in values} == {torch.float32}


def test_a_processor_without_units_is_told_once(own, batches, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    watch = Silent()
    train([own("bfloat16", epochs=1)], batches, tmp_path / "without", "loop", watch=watch)
    assert watch.notes == [
        "this processor has no units for bfloat16: float32 is many times as quick here (train.precision)"
    ]
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    watch = Silent()
    train([own("bfloat16", epochs=1)], batches, tmp_path / "with", "loop", watch=watch)
    assert watch.notes == []


class Unable(torch.nn.Module):
    """What oneDNN says of an LSTM on processors without units for lower precision."""

    def forward(self, x):
        raise RuntimeError("could not create a primitive descriptor for the LSTM primitive. Run workload with ...")


def test_a_layer_that_there_is_in_float32_alone_is_told(own, batch, monkeypatch):
    monkeypatch.setattr(torch.nn.Linear, "forward", Unable.forward)
    with pytest.raises(TrainingError, match=r"but torch has a layer .* LSTM primitive; set train.precision ="):
        stepped(own("bfloat16"), batch)
    with pytest.raises(RuntimeError, match="could not create"):
        stepped(own("float32"), batch)
