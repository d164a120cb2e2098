"""`dlcli plugins doctor`."""


def doctor() -> None:
    """X."""
