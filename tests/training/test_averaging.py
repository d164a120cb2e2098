"""Averages of weights kept while training, against torch's own."""

import math
from dataclasses import replace

import pytest
import torch
from engines import Silent, same_bits, train
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, update_bn

from dlcli.contracts.averager import Averager
from dlcli.contracts.member import Keep
from dlcli.data.order import epoch_rows
from dlcli.errors import Interrupted, UsageError
from dlcli.training.averaging import reestimate_batch_norm
from dlcli.training.checkpoint import Checkpoints
from dlcli.training.network import build_network

CPU = torch.device("cpu")
DECAY = 0.9


class Plain(Averager):
    """An average with a weight that does not warm up, as torch's is."""

    name = "plain"

    def weight(self, step, horizon):
        return 1 - DECAY


class Late(Averager):
    """Begins with the second epoch."""

    name = "late"

    def weight(self, step, horizon):
        return None if step < horizon.steps_per_epoch else 0.5


@pytest.fixture
def fit(tmp_path, batches):
    def run(member, folder="run", **options):
        return train(
            [member] if not isinstance(member, list) else member, batches, tmp_path / folder, "loop", **options
        )

    return run


@pytest.fixture
def by_hand(dataset, batches):
    """Train as the loop does, and let torch average: after each step, or at the end of given epochs."""

    def run(member, average, epochs=None):
        network = build_network(member, CPU)
        averaged = average(network)
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
        x, y = member.preprocessing["x"][0](dataset.tensors["x"]), dataset.tensors["y"]
        for epoch in range(1, member.epochs + 1):
            rows, last = epoch_rows(member.training_rows, 64, seed=member.seed, epoch=epoch)
            for index, batch in enumerate(rows):
                loss = torch.nn.functional.cross_entropy(network(x[batch]), y[batch], reduction="none")
                loss = (loss * last).sum() / last.sum() if index == len(rows) - 1 else loss.mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                if epochs is None:
                    averaged.update_parameters(network)
            if epochs is not None and epoch in epochs:
                averaged.update_parameters(network)
        own = averaged.module.cpu()
        update_bn([batch.inputs[0] for batch in batches.evaluation(member, member.training_rows)], own)
        return own.eval(), x

    return run


@pytest.fixture
def plain(member, registry):
    """A member without dropout, whose last epoch counts."""

    def make(norm="batch", **changes):
        norms = {} if norm == "none" else {"norm": norm}
        network = registry.create("architecture", "mlp", hidden=[16], **norms)
        # Of no adaptive rate, which would blow rounding up.
        optimizer = registry.create("optimizer", "sgd", lr=0.1)
        return member(architecture=network, optimizer=optimizer, epochs=4, select="last", **changes)

    return make


def close(state, network):
    for name, tensor in network.state_dict().items():
        if "num_batches" not in name and "running" not in name:
            torch.testing.assert_close(state[name], tensor, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("norm", ["batch", "none"])
def test_an_exponential_average_is_torchs(plain, fit, by_hand, dataset, norm):
    own = plain(norm, averager=Plain())
    (result,) = fit(own)
    network, x = by_hand(own, lambda n: AveragedModel(n, multi_avg_fn=get_ema_multi_avg_fn(DECAY)))
    close(result.state, network)
    # What is validated is the average.
    val = own.validation_rows
    with torch.no_grad():
        loss = torch.nn.functional.cross_entropy(network(x[val]), dataset.tensors["y"][val])
    assert result.history.records[-1].values["val_loss"] == pytest.approx(loss.item(), rel=1e-3)
    (trained,) = fit(replace(own, averager=None), "without")
    name = next(name for name in result.state if name.endswith("weight"))
    assert not torch.allclose(trained.state[name], result.state[name], atol=1e-3)


def test_a_stochastic_weight_average_is_torchs(plain, fit, by_hand, registry):
    own = plain(averager=registry.create("averager", "swa", start=0.5))
    (result,) = fit(own)
    network, _ = by_hand(own, AveragedModel, epochs={3, 4})
    close(result.state, network)


def test_batch_norm_is_estimated_as_update_bn_does(plain, batches, dataset):
    own = plain()
    ours, theirs = build_network(own, CPU), build_network(own, CPU)
    with torch.no_grad():
        for network in (ours, theirs):
            for parameter in network.parameters():
                parameter.mul_(1.5)
    given = list(batches.evaluation(own, own.training_rows))
    update_bn([batch.inputs[0] for batch in given], theirs)
    ours.eval()
    reestimate_batch_norm(ours, given)
    assert not ours.training
    first, second = ours.state_dict(), theirs.state_dict()
    assert any("running_var" in name for name in first)
    for name in first:
        torch.testing.assert_close(first[name], second[name], msg=name)
    momenta = {m.momentum for m in ours.modules() if isinstance(m, torch.nn.BatchNorm1d)}
    assert momenta == {0.1}


@pytest.mark.parametrize("averager", ["plain", "late", "ema", "swa"])
@pytest.mark.parametrize("stop", [1, 2, 3])
def test_an_average_that_is_interrupted_goes_on_to_the_same_bits(member, fit, registry, averager, stop):
    kind = {"plain": Plain(), "late": Late()}.get(averager) or registry.create("averager", averager)
    own = member(epochs=5, averager=kind, keep=Keep(best=2, last=2))
    whole = fit(own, "whole")
    watch = Silent(stop_after=stop)
    with pytest.raises(Interrupted, match="interrupted after epoch"):
        fit(own, "broken", watch=watch)
    same_bits(whole, fit(own, "broken", resume=True))


def test_what_is_kept_is_the_average(plain, fit, tmp_path):
    own = plain(averager=Plain(), keep=Keep(best=0, last=3))
    (result,) = fit(replace(own, select="best"))
    kept = Checkpoints(tmp_path / "run/checkpoints", own.keep)
    epochs = [epoch for epoch in range(1, 5) if kept.of_epoch(epoch) is not None]
    assert epochs == [2, 3, 4]
    for epoch in epochs:
        (alone,) = fit(replace(own, epochs=epoch, horizon_epochs=4), f"until-{epoch}")
        found = kept.parameters(epoch)
        assert all(torch.equal(found[name], alone.state[name]) for name in found)
    assert result.selected_epoch == result.best_epoch
    (alone,) = fit(replace(own, epochs=result.best_epoch, horizon_epochs=4), "best")
    assert all(torch.equal(result.state[name], alone.state[name]) for name in result.state)


@pytest.mark.parametrize("last", [2, 3])
def test_the_last_epochs_stay_whoever_trains(plain, batches, tmp_path, last):
    members = [plain(identity=f"m-{n}", seed=n, keep=Keep(best=0, last=last)) for n in range(2)]
    for engine in ("loop", "vectorized"):
        train(members, batches, tmp_path / engine, engine)
        for own in members:
            folder = tmp_path / engine / "members" / own.identity / "checkpoints"
            kept = Checkpoints(folder, own.keep)
            assert [e for e in range(1, 5) if kept.of_epoch(e) is not None] == list(range(5 - last, 5))
    for own in members:
        first, second = (
            Checkpoints(tmp_path / engine / "members" / own.identity / "checkpoints", own.keep).parameters(5 - last)
            for engine in ("loop", "vectorized")
        )
        for name in first:
            torch.testing.assert_close(first[name], second[name], rtol=1e-3, atol=1e-5)


def test_members_with_averages_train_one_after_the_other_and_it_is_said(plain, batches, tmp_path):
    members = [plain(identity=f"m-{n}", seed=n, averager=Plain()) for n in range(2)]
    watch = Silent()
    results = train(members, batches, tmp_path / "auto", "auto", watch=watch)
    assert any("average" in note and "one after the other" in note for note in watch.notes), watch.notes
    for own, result in zip(members, results, strict=True):
        (alone,) = train([own], batches, tmp_path / own.identity, "loop")
        assert all(torch.equal(alone.state[name], result.state[name]) for name in result.state)
    with pytest.raises(UsageError, match="--engine vectorized: .*average"):
        train(members, batches, tmp_path / "stack", "vectorized")


def test_an_average_that_has_not_begun_is_the_network_itself(plain, fit):
    own = plain(averager=Late())
    (first,) = fit(replace(own, epochs=1, horizon_epochs=4), "late")
    (second,) = fit(replace(own, epochs=1, horizon_epochs=4, averager=None), "none")
    assert all(torch.equal(first.state[name], second.state[name]) for name in first.state)
    assert math.isfinite(first.history.records[0].values["val_loss"])
