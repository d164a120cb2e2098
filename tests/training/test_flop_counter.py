import pytest
import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention
from torch.nn.utils.rnn import pack_padded_sequence
from torch.utils.flop_counter import FlopCounterMode

from dlcli.training.flop_counter import flop_counter, recurrent_multiply_adds


def counted(counter, run):
    """Operations of a forward pass, and of the backward pass after it."""
    with counter:
        made = run()
        forward = counter.get_total_flops()
        made.sum().backward()
    return forward, counter.get_total_flops() - forward


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("transposed", [False, True])
def test_a_convolution_counts_every_weight_at_every_place(groups, transposed):
    layer = (nn.ConvTranspose2d if transposed else nn.Conv2d)(8, 12, 3, stride=2, dilation=2, groups=groups)
    x = torch.randn(5, 8, 11, 9, requires_grad=True)
    places = x.shape[2:] if transposed else layer(x).shape[2:]
    by_hand = 2 * 5 * places.numel() * (8 * 12 // groups) * 9
    assert counted(flop_counter(), lambda: layer(x)) == (by_hand, 2 * by_hand)


def test_what_torch_counts_rightly_is_counted_alike():
    network = nn.Sequential(nn.Conv1d(3, 8, 5, padding=2), nn.ReLU(), nn.Flatten(), nn.Linear(80, 7))
    x = torch.randn(4, 3, 10)
    mine, theirs = (
        counted(counter, lambda: network(x)) for counter in (flop_counter(), FlopCounterMode(display=False))
    )
    assert mine == theirs
    assert mine[0] > 0


@pytest.mark.parametrize("masked", [False, True])
def test_attention_on_a_cpu_counts_its_two_products(masked):
    query, key, value = (torch.randn(2, 4, steps, 8, requires_grad=True) for steps in (5, 6, 6))
    mask = torch.ones(2, 1, 1, 6, dtype=torch.bool) if masked else None
    product = 2 * 2 * 4 * 5 * 6 * 8
    found = counted(flop_counter(), lambda: scaled_dot_product_attention(query, key, value, attn_mask=mask))
    # Backward: one product more, to have the weights again, and two for each of the two.
    assert found == (2 * product, 5 * product)


@pytest.mark.parametrize(("kind", "gates"), [(nn.LSTM, 4), (nn.GRU, 3), (nn.RNN, 1)])
def test_recurrent_layers_multiply_every_weight_once_a_step(kind, gates):
    assert recurrent_multiply_adds(kind(5, 7), steps=10) == 10 * gates * 7 * (5 + 7)
    two = kind(5, 7, num_layers=2, bidirectional=True)
    assert recurrent_multiply_adds(two, steps=10) == 10 * gates * 2 * (7 * (5 + 7) + 7 * (2 * 7 + 7))


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_packed_rows_count_as_torch_counts_their_steps(kind):
    layer = kind(5, 7, batch_first=True)
    packed = pack_padded_sequence(torch.randn(2, 3, 5), torch.tensor([3, 2]), batch_first=True)
    forward, _ = counted(FlopCounterMode(display=False), lambda: layer(packed)[0].data)
    assert forward == 2 * recurrent_multiply_adds(layer, len(packed.data)) > 0
