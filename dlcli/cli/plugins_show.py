"""`dlcli plugins show`."""


def show() -> None:
    """X."""
