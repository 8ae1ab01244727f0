"""Text in CSV files, made safe for spreadsheets."""

FORMULA_STARTS = frozenset("=+-@\t\r")


def as_text(text: str) -> str:
    """Prefix text that looks like a formula with an apostrophe, so that no spreadsheet runs it."""
    return f"'{text}" if text[:1] in FORMULA_STARTS else text
