"""The networks of our architectures as somebody would write them with torch alone, for the bench of training steps."""

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention


def perceptron(inputs: int, hidden: list[int], outputs: int) -> nn.Module:
    layers: list[nn.Module] = [nn.Flatten()]
    for before, after in zip([inputs, *hidden], hidden, strict=False):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear([inputs, *hidden][-1], outputs))


def convolutional(pixels: int, channels: list[int], hidden: int, outputs: int) -> nn.Module:
    layers: list[nn.Module] = []
    for before, after in zip([1, *channels], channels, strict=False):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        pixels //= 2
    flat = channels[-1] * pixels * pixels
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(flat, hidden), nn.ReLU(), nn.Linear(hidden, outputs))


class BasicBlock(nn.Module):
    def __init__(self, narrow: int, wide: int, stride: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv2d(narrow, wide, 3, stride, 1, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU(),
            nn.Conv2d(wide, wide, 3, 1, 1, bias=False),
            nn.BatchNorm2d(wide),
        )
        self.shortcut = (
            nn.Identity()
            if stride == 1 and narrow == wide
            else nn.Sequential(nn.Conv2d(narrow, wide, 1, stride, bias=False), nn.BatchNorm2d(wide))
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.shortcut(x) + self.branch(x))


class Residual(nn.Module):
    def __init__(self, blocks: list[int], width: int, outputs: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
        made, narrow = [], width
        for stage, count in enumerate(blocks):
            for place in range(count):
                wide = width * 2**stage
                made.append(BasicBlock(narrow, wide, 2 if stage and not place else 1))
                narrow = wide
        self.blocks = nn.Sequential(*made)
        self.head = nn.Linear(narrow, outputs)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.blocks(self.stem(x)).mean((2, 3)))
        return logits


class Recurrent(nn.Module):
    def __init__(self, kind: type[nn.RNNBase], inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.cells = kind(inputs, hidden, batch_first=True)
        self.head = nn.Linear(hidden, outputs)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.cells(x)[0][:, -1])
        return logits


class Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.projection = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        rows, steps, width = x.shape
        query, key, value = (
            part.view(rows, steps, self.heads, -1).transpose(1, 2) for part in self.projection(x).split(width, 2)
        )
        mixed = scaled_dot_product_attention(query, key, value)
        made: Tensor = self.output(mixed.transpose(1, 2).reshape(rows, steps, width))
        return made


class EncoderBlock(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.feed_forward = nn.Sequential(nn.Linear(width, 4 * width), nn.ReLU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm_1(x))
        made: Tensor = x + self.feed_forward(self.norm_2(x))
        return made


class Transformer(nn.Module):
    def __init__(self, inputs: int, steps: int, width: int, heads: int, layers: int, outputs: int) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.zeros(steps, width))
        self.projection = nn.Linear(inputs, width)
        self.blocks = nn.Sequential(*(EncoderBlock(width, heads) for _ in range(layers)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(self.projection(x) + self.positions)
        logits: Tensor = self.head(self.norm(x).mean(1))
        return logits
