"""`dlcli plugins new`."""


def new() -> None:
    """X."""
