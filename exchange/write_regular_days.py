"""`python -m exchange.write_regular_days`: write regular_days.txt anew, after an update of the `holidays` package."""

from holidays import HALF_DAY, financial_holidays

from exchange.regular_days import DAYS, FIRST_DAY, LAST_DAY


def text() -> str:
    """Return the content of regular_days.txt: the closed weekdays and the half days, in order."""
    years = range(FIRST_DAY.year - 1, LAST_DAY.year + 2)  # the rules move some holidays into the year before or after
    closed = set(financial_holidays("NYSE", years=years))
    halves = set(financial_holidays("NYSE", years=years, categories=(HALF_DAY,))) - closed
    days = {**dict.fromkeys(closed, "closed"), **dict.fromkeys(halves, "half")}
    return "".join(f"{day} {days[day]}\n" for day in sorted(days) if FIRST_DAY <= day <= LAST_DAY)


if __name__ == "__main__":
    DAYS.write_text(text())
