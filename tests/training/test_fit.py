import re
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from dlcli.contracts.history import History
from dlcli.contracts.regularizer import MixedBatch, Regularizer
from dlcli.contracts.schedule import Schedule
from dlcli.data.order import epoch_rows
from dlcli.errors import Interrupted, UsageError
from dlcli.training.checkpoint import Checkpoints
from dlcli.training.fit import fit
from dlcli.training.history_file import HistoryFile
from dlcli.training.network import build_network
from dlcli.training.step import bare_step

CPU = torch.device("cpu")


@pytest.fixture
def train(tmp_path, batches, recorder):
    def run(member, folder="run", *, seconds=0.0, resume=False, watch=None, engine="loop"):
        directory = tmp_path / folder
        directory.mkdir(exist_ok=True)
        results = fit(
            [member] if not isinstance(member, list) else member,
            batches,
            directory=directory,
            device=CPU,
            watch=watch or recorder(),
            checkpoint_seconds=seconds,
            resume=resume,
            engine=engine,
        )
        return results if isinstance(member, list) else results[0]

    return run


def same(first, second):
    assert first.keys() == second.keys()
    return all(torch.equal(first[name], second[name]) for name in first)


def without_time(history):
    return [(r.epoch, r.learning_rate, dict(r.values)) for r in history.records]


def test_a_plain_run_equals_a_hand_written_loop(member, train, dataset, registry):
    own = member(architecture=registry.create("architecture", "mlp", hidden=[32]), epochs=3)
    result = train(own)
    network = build_network(own, CPU)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    x = own.preprocessing["x"][0](dataset.tensors["x"])
    y = dataset.tensors["y"]
    for epoch in (1, 2, 3):
        rows, last = epoch_rows(own.training_rows, 64, seed=own.seed, epoch=epoch)
        for index, batch in enumerate(rows):
            output = network(x[batch])
            if index == len(rows) - 1:
                loss = (F.cross_entropy(output, y[batch], reduction="none") * last).sum() / last.sum()
            else:
                loss = F.cross_entropy(output, y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    network.eval()
    val = own.validation_rows
    assert result.history.records[-1].values["val_loss"] == pytest.approx(
        F.cross_entropy(network(x[val]), y[val]).item(), rel=1e-4
    )
    accuracy = (network(x[val]).argmax(1) == y[val]).double().mean().item()
    assert result.history.records[-1].values["val_accuracy"] == pytest.approx(accuracy, abs=1 / 150)
    last = train(replace(own, select="last"), "again")
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(last.state[name], tensor, rtol=1e-3, atol=1e-5)


def test_training_loss_is_the_mean_over_rows_without_filler(member, train, dataset, registry):
    frozen_rate = registry.create("optimizer", "sgd", lr=1e-30)
    own = member(
        architecture=registry.create("architecture", "mlp", hidden=[32]), epochs=1, optimizer=frozen_rate, batch_size=64
    )
    result = train(own)
    network = build_network(own, CPU).eval()
    x = own.preprocessing["x"][0](dataset.tensors["x"])
    expected = F.cross_entropy(network(x[own.training_rows]), dataset.tensors["y"][own.training_rows]).item()
    assert result.history.records[0].values["train_loss"] == pytest.approx(expected, rel=1e-5)


def test_it_learns_and_keeps_the_best_epoch(member, train):
    result = train(member(epochs=12))
    scores = result.history.scores
    assert scores[-1] < scores[0] / 2
    assert result.best_epoch == scores.index(min(scores)) + 1 == result.selected_epoch
    assert result.epochs == 12
    assert train(member(epochs=12, select="last"), "last").selected_epoch == 12


def test_same_seed_same_bits_whatever_torch_drew_before(member, train):
    first = train(member(), "a")
    torch.rand(17)
    second = train(member(), "b")
    assert same(first.state, second.state)
    assert without_time(first.history) == without_time(second.history)
    assert not same(first.state, train(member(seed=8), "c").state)


def test_training_leaves_torchs_stream_alone(member, train):
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    train(member(epochs=1))
    assert torch.equal(torch.rand(4), expected)


@pytest.mark.parametrize(
    ("seconds", "stop_at", "after"),
    [
        (0.0, (1, 3), 0),
        (0.0, (4, 0), 3),
        (0.0, (4, 5), 3),
        (0.0, (6, 7), 5),
        (1e9, (1, 3), 0),
        (1e9, (4, 0), 4),  # epoch 3 is not on disk: the epoch under way is finished, and nothing is lost
        (1e9, (4, 5), 4),
    ],
)
def test_an_interrupted_run_goes_on_to_the_same_bits(member, train, recorder, tmp_path, seconds, stop_at, after):
    whole = train(member(), "whole", seconds=seconds)
    with pytest.raises(Interrupted, match=f"interrupted after epoch {after} of 6"):
        train(member(), "parts", seconds=seconds, watch=recorder(stop_at))
    parts = train(member(), "parts", seconds=seconds, resume=True)
    assert same(whole.state, parts.state)
    assert without_time(whole.history) == without_time(parts.history)
    assert whole.best_epoch == parts.best_epoch
    states = [Checkpoints(tmp_path / name / "checkpoints", member().keep).read() for name in ("whole", "parts")]
    assert same(states[0].optimizer, states[1].optimizer)
    assert same(states[0].network, states[1].network)


def test_members_do_not_depend_on_their_companions(member, train):
    alone = train([member(identity="a", seed=1)], "alone")[0]
    together = train([member(identity="b", seed=2), member(identity="a", seed=1)], "together")[1]
    assert same(alone.state, together.state)
    assert without_time(alone.history) == without_time(together.history)


class Exploding(Schedule):
    """Factor 1 for two epochs, then beyond all reason."""

    name = "exploding"
    needs_horizon = False

    def shape(self, step, horizon, history):
        return 1.0 if step < 2 * horizon.steps_per_epoch else 1e30


def test_divergence_names_the_place_and_keeps_the_last_good_epoch(member, train, registry, tmp_path):
    own = member(
        optimizer=registry.create("optimizer", "sgd", lr=1e-3),
        schedule=Exploding(),
        architecture=registry.create("architecture", "mlp", hidden=[32]),
    )
    result = train(own, seconds=1e9)
    assert re.match(
        r"training diverged in epoch 3, batch \d+: the loss became (nan|inf) at learning rate 1e\+27; "
        r"epoch 2, the best, is kept. "
        r"Try a lower rate \(--set train.optimizer.lr=0.0001\), or a warm-up",
        result.failure,
    )
    assert result.selected_epoch == result.best_epoch == 2
    assert all(tensor.isfinite().all() for tensor in result.state.values())
    history = History(HistoryFile(tmp_path / "run/history.jsonl").read(""), "val_loss", "min")
    epoch, state = Checkpoints(tmp_path / "run/checkpoints", own.keep).read_best(history)
    assert epoch == 2
    assert all(tensor.isfinite().all() for tensor in state.values())


def test_early_stopping_stops_and_resuming_does_not_go_on(member, train, registry):
    stopping = registry.create("regularizer", "early_stopping", patience=1, min_delta=10.0)
    result = train(member(regularizers=(stopping,), epochs=20), "run")
    assert result.stopped.startswith("early_stopping: ")
    assert result.epochs == 2
    assert train(member(regularizers=(stopping,), epochs=20), "run", resume=True).epochs == 2


def test_frozen_parameters_stay_and_a_start_is_taken(member, train):
    first = train(member())
    start = {name: tensor for name, tensor in first.state.items() if name.startswith("blocks.0")}
    names = {"blocks.0.affine.weight"}
    own = member(seed=9, initial_state=start, frozen=frozenset(names), select="last")
    result = train(own, "second")
    assert torch.equal(result.state["blocks.0.affine.weight"], first.state["blocks.0.affine.weight"])
    assert not torch.equal(result.state["head.weight"], build_network(own, CPU).state_dict()["head.weight"])


def test_row_weights_of_zero_leave_rows_out(member, train, dataset, registry):
    """A row with weight 0 may hold anything: the result is the same."""
    weights = torch.ones(600)
    weights[:50] = 0
    plain = registry.create("architecture", "mlp", hidden=[16])
    damaged = dataset.tensors["x"].clone()
    damaged[:50] = 255
    first = train(member(architecture=plain, row_weights=weights), "a")
    second = train(member(architecture=plain, row_weights=weights, fed={"x": damaged}), "b")
    for name in first.state:
        torch.testing.assert_close(first.state[name], second.state[name], rtol=1e-4, atol=1e-6)


def test_a_batch_larger_than_the_rows_and_a_last_batch_of_one_train(member, train, dataset):
    few = member(training_rows=dataset.splits["train"][:65], epochs=2)
    assert train(few, "one").epochs == 2
    assert train(replace(few, batch_size=200), "large").epochs == 2


class Doubling(Regularizer):
    """Exercises every hook: halves inputs, shifts parameters, penalizes, doubles gradients, clamps."""

    name = "doubling"

    def draw(self, shapes, generator):
        return {name: torch.rand(shape, generator=generator) for name, shape in shapes.items()}

    def batch(self, inputs, targets, noise):
        assert noise["x"].shape == inputs[0].shape
        return MixedBatch(inputs, (targets, targets.flip(0)), torch.tensor(0.7))

    def parameters(self, parameters, noise):
        return {name: tensor + 0.01 * noise[name] for name, tensor in parameters.items()}

    def penalty(self, parameters, activations):
        return sum(tensor.abs().sum() for tensor in parameters.values()) * 1e-3

    def gradients(self, gradients, parameters):
        return {name: 2 * gradient for name, gradient in gradients.items()}

    def project(self, parameters):
        return {name: tensor.clamp(-0.1, 0.1) for name, tensor in parameters.items()}


def test_every_hook_of_a_regularizer_is_called(member, train, registry):
    plain = registry.create("architecture", "mlp", hidden=[16])
    own = member(architecture=plain, regularizers=(Doubling(),), select="last", epochs=2)
    result = train(own)
    assert result.state["head.weight"].abs().max() <= 0.1
    assert result.state["head.bias"].abs().max() > 0  # biases are left out by default: not clamped to nothing
    assert same(result.state, train(own, "again").state)


def test_a_batch_is_mixed_once_and_last(member, train, registry):
    noise = registry.create("regularizer", "input_noise")
    for after in (Doubling(), noise):
        with pytest.raises(UsageError, match=f"{after.name} comes after doubling, which mixes rows"):
            train(member(regularizers=(Doubling(), after)))
    assert train(member(regularizers=(noise, Doubling()), epochs=1)).epochs == 1


def test_a_selector_that_matches_nothing_is_refused(member, train, registry):
    own = member(regularizers=(registry.create("regularizer", "l2", select="foo.*"),))
    with pytest.raises(
        UsageError, match=r"selector 'foo\.\*' of the regularizer l2 matches no parameter; write weights"
    ):
        train(own)


def test_schedule_sets_the_rate_of_every_step(member, train, recorder, registry):
    watch = recorder()
    train(member(epochs=2, schedule=registry.create("schedule", "cosine", warmup_epochs=1.0)), watch=watch)
    assert len(watch.rates) == 16
    assert watch.rates[0] == pytest.approx(3e-3 / 8)
    assert max(watch.rates) == pytest.approx(3e-3)
    assert watch.rates[-1] < 3e-3 / 8


def test_without_validation_rows_the_training_loss_decides(member, train):
    result = train(member(validation_rows=None, monitor="train_loss", epochs=2))
    assert set(result.history.records[0].values) == {"train_loss"}


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_the_bare_step_of_an_optimizer_gives_the_same_bits(registry, name):
    optimizer = registry.create("optimizer", name, weight_decay=0.1)

    def parameters_after(step_of):
        torch.manual_seed(0)
        parameter = torch.nn.Parameter(torch.randn(5, 3))
        built = optimizer.build([parameter], lr=0.1, weight_decay=0.1)
        step = step_of(built)
        for _ in range(4):
            parameter.grad = torch.randn(5, 3)
            with torch.no_grad():
                step()
        return parameter.detach()

    assert torch.equal(parameters_after(bare_step), parameters_after(lambda built: built.step))


def test_the_step_of_a_foreign_optimizer_keeps_its_wrappers():
    class Foreign(torch.optim.SGD):
        pass

    optimizer = Foreign([torch.zeros(1, requires_grad=True)], lr=0.1)
    assert bare_step(optimizer) == optimizer.step
