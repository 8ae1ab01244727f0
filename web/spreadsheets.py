"""Text in CSV files, as a spreadsheet may open it."""

FORMULA_STARTS = frozenset("=+-@\t\r")


def as_text(text: str) -> str:
    """Return a text that no spreadsheet runs as a formula: one that looks like a formula is marked as text."""
    return f"'{text}" if text[:1] in FORMULA_STARTS else text
