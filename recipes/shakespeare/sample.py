"""Writes text with a network that predicts the next character: `python recipes/shakespeare/sample.py RUN`.

One character after another is drawn from what the network says of the last `--window` characters.
"""

import argparse
from pathlib import Path

import torch

import dlcli


def sample(
    run: str | Path, prompt: str, *, letters: int = 300, temperature: float = 0.8, window: int = 128, seed: int = 0
) -> str:
    """Return a prompt and what a network makes of it.

    Args:
        run: A run of `transformer.toml`, `lstm.toml` or the like.
        prompt: How the text begins; at least one character.
        letters: How many characters to add, ≥ 0.
        temperature: Below 1 for likelier, above 1 for odder text.
        window: Most characters that the network looks back on: those that it was trained with.
        seed: Another one for another text.

    Returns:
        The text.

    Raises:
        SystemExit: The network does not know a character of the prompt.
    """
    model = dlcli.load(run)
    known = model.inputs[0].classes
    if unknown := sorted(set(prompt) - set(known)):
        raise SystemExit(f"the network has never seen {', '.join(map(repr, unknown))}; give a prompt without")
    places = [known.index(letter) for letter in prompt]
    generator = torch.Generator().manual_seed(seed)
    with torch.inference_mode():
        for _ in range(letters):
            logits = model(torch.tensor([places[-window:]]))[0, -1]
            chances = (logits / temperature).softmax(-1)
            places.append(int(torch.multinomial(chances, 1, generator=generator)))
    return "".join(known[place] for place in places)


def main() -> None:
    """Write a sample to the terminal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", help="folder of the run")
    parser.add_argument("--prompt", default="\n", help="how the text begins")
    parser.add_argument("--letters", type=int, default=300)
    parser.add_argument("--temperature", type=float, default=0.8)
    parser.add_argument("--window", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    options = vars(parser.parse_args())
    print(sample(options.pop("run"), options.pop("prompt"), **options))


if __name__ == "__main__":
    main()
