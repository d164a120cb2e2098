import io
from collections.abc import Callable

import pytest
from rich.console import Console, RenderableType


@pytest.fixture
def text() -> Callable[..., str]:
    """Return a picture as plain text, as it looks on a console of some width."""

    def render(picture: RenderableType, width: int = 80) -> str:
        file = io.StringIO()
        Console(file=file, width=width, highlight=False).print(picture, crop=False)
        return file.getvalue()

    return render
