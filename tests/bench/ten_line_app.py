"""What `dlcli --help` is measured against: the smallest app of the same two libraries."""

import typer
from rich.console import Console

app = typer.Typer()


@app.command()
def train(recipe: str, epochs: int = 30) -> None:
    """Train a network."""
    Console().print(recipe, epochs)


app()
