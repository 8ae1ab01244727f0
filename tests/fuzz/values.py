"""Edge-case values, one of each kind that has caused an error before."""

TEXTS = ("", "\x00", "a\x00b", "%_\\", "'\"", "\ud800", "\U0001f600" * 50, "x" * 5000, "[{}]", "../..", "\r\n", "{0}%s")
NUMBERS = ("0", "-1", "1.5", "1e9", "²", "٣", " 7 ", "9" * 18, str(2**63 - 1), str(2**63), "9" * 400, "NaN")
IDS = ("00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff")
DAYS = (
    "0001-01-01", "1582-10-15", "1969-12-31", "1970-01-01", "2026-02-30", "9999-12-31", "10000-01-01",
    "0001-01-01..9999-12-31", "9999-12-31..0001-01-01", "..", "2026-01-01..", "..2026-01-01",
)  # fmt: skip
VALUES = [*TEXTS, *NUMBERS, *IDS]
# Valid values, so that requests also get past the first check of a form.
VALID_VALUES = (
    "AAPL", "BUY", "SELL", "1", "100.00", "on", "true", "alice@example.com", "correct horse battery staple", "read",
)  # fmt: skip
