"""How people write numbers."""

import re

COMMA_NUMBER = re.compile(r"\s*[-+]?\d*,\d+([eE][-+]?\d+)?\s*")
"""A number with a comma before its decimals."""
POINT_NUMBER = re.compile(r"\s*[-+]?\d*\.\d+([eE][-+]?\d+)?\s*")
"""A number with a point before its decimals."""
GROUPED_NUMBER = re.compile(r"\s*[-+]?\d{1,3}(?P<mark>[,.' ])\d{3}((?P=mark)\d{3})*([.,]\d+)?\s*")
"""A number whose thousands are set apart."""


def plain_number(cell: str, decimal: str, thousands: str) -> str:
    """Return a number as Python writes it; any other text as it is.

    Args:
        cell: The text.
        decimal: What stands before decimals.
        thousands: What sets thousands apart; empty for nothing.

    Returns:
        The number, or the text.
    """
    if thousands and (grouped := GROUPED_NUMBER.fullmatch(cell)) and grouped["mark"] == thousands:
        cell = cell.replace(thousands, "")
    return cell.replace(",", ".") if decimal == "," and COMMA_NUMBER.fullmatch(cell) else cell
