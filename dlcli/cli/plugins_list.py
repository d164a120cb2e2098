"""`dlcli plugins list`."""


def list_() -> None:
    """X."""
