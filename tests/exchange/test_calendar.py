"""Trading days, their hours, and the days on which trades settle."""

import threading
from datetime import UTC, date, datetime, time
from time import sleep
from typing import Any

import pytest
from django.db import connection

from exchange import calendar, regular_days, write_regular_days
from exchange.calendar import remove_closure, session, sessions, set_closure, settlement_date
from tests.factories import ClosureFactory
from web.timezones import EASTERN

pytestmark = pytest.mark.django_db

# Trade date: settlement date. Each pair spans a holiday of the exchange or of the Federal Reserve, or the beginning of
# a settlement cycle.
SETTLEMENT = {
    # T+3
    "2007-01-03": "2007-01-08",
    "2007-10-04": "2007-10-10",  # Columbus Day
    "2012-10-26": "2012-11-02",  # the exchange was closed for two days by Hurricane Sandy
    "2013-11-08": "2013-11-14",  # Veterans Day
    "2014-11-10": "2014-11-14",
    "2016-10-07": "2016-10-13",
    "2017-08-31": "2017-09-06",  # Labor Day
    "2017-09-01": "2017-09-07",
    # T+2 from 2017-09-05
    "2017-09-05": "2017-09-07",
    "2017-10-06": "2017-10-11",
    "2018-03-28": "2018-04-02",  # Good Friday
    "2018-11-09": "2018-11-14",  # Veterans Day on a Sunday, kept on Monday
    "2018-12-04": "2018-12-07",  # a day of mourning
    "2020-12-23": "2020-12-28",
    "2021-10-08": "2021-10-13",
    "2022-11-10": "2022-11-15",  # Veterans Day on a Friday
    "2023-11-10": "2023-11-14",  # Veterans Day on a Saturday: the banks are open on Friday
    "2023-11-09": "2023-11-13",
    "2024-05-23": "2024-05-28",
    "2024-05-24": "2024-05-29",  # Memorial Day between
    # T+1 from 2024-05-28
    "2024-05-28": "2024-05-29",
    "2024-06-18": "2024-06-20",  # Juneteenth
    "2024-10-11": "2024-10-15",
    "2024-11-08": "2024-11-12",
    "2024-11-27": "2024-11-29",  # Thanksgiving
    "2025-01-08": "2025-01-10",  # a day of mourning
    "2025-04-17": "2025-04-21",
    "2025-10-10": "2025-10-14",
    "2025-11-10": "2025-11-12",
    "2025-12-24": "2025-12-26",
    "2026-07-02": "2026-07-06",  # Independence Day on a Saturday
    "2026-10-09": "2026-10-13",
    "2026-11-10": "2026-11-12",
    "2026-11-25": "2026-11-27",
    "2026-12-31": "2027-01-04",
}


@pytest.mark.parametrize(("traded", "settles"), SETTLEMENT.items())
def test_a_trade_settles_on_its_settlement_date(traded: str, settles: str) -> None:
    assert settlement_date(date.fromisoformat(traded)).isoformat() == settles


def test_the_written_days_are_those_of_the_published_rules() -> None:
    assert regular_days.DAYS.read_text() == write_regular_days.text(), "run python -m exchange.write_regular_days"


def test_trades_while_the_exchange_is_closed_settle_from_the_next_trading_day() -> None:
    assert settlement_date(date(2026, 11, 28)) == date(2026, 11, 30)


@pytest.mark.parametrize("day", [date(2006, 12, 29), date(1970, 1, 1), date(2036, 1, 2), date(2035, 12, 31)])
def test_unsupported_years_are_refused(day: date) -> None:
    with pytest.raises(ValueError, match=r"20"):
        settlement_date(day)


def test_only_supported_years_have_sessions() -> None:
    assert [session.day.isoformat() for session in sessions(date(1970, 1, 1), date(2007, 1, 4))] == [
        "2007-01-03",
        "2007-01-04",
    ]
    assert [session.day.isoformat() for session in sessions(date(2035, 12, 31), date(9999, 12, 31))] == ["2035-12-31"]
    assert sessions(date(2026, 11, 27), date(2026, 11, 26)) == []


@pytest.mark.parametrize(
    ("day", "closes"),
    [("2026-11-25", "16:00"), ("2026-11-26", None), ("2026-11-27", "13:00"), ("2026-11-28", None)]
    + [("2026-10-12", "16:00"), ("2026-11-11", "16:00"), ("2026-07-03", None), ("2025-07-03", "13:00")]
    + [("2018-12-05", None), ("2012-10-29", None), ("2021-06-18", "16:00"), ("2022-06-20", None)],
)
def test_a_day_and_its_close(day: str, closes: str | None) -> None:
    found = session(date.fromisoformat(day))
    assert (found and f"{found.closes:%H:%M}") == closes


def test_hours_are_eastern_in_summer_and_winter() -> None:
    winter, summer = session(date(2026, 1, 5)), session(date(2026, 7, 6))
    assert winter is not None
    assert summer is not None
    assert winter.opens_at.astimezone(UTC) == datetime(2026, 1, 5, 14, 30, tzinfo=UTC)
    assert summer.closes_at.astimezone(UTC) == datetime(2026, 7, 6, 20, 0, tzinfo=UTC)


# -- closures


def test_staff_close_a_day_and_settlement_moves(db: None) -> None:
    set_closure(date(2026, 12, 1), None, "Day of mourning", by="sam")
    assert session(date(2026, 12, 1)) is None
    assert settlement_date(date(2026, 11, 30)) == date(2026, 12, 2)
    assert [closure.reason for closure in calendar.closures()] == ["Day of mourning"]
    assert remove_closure(date(2026, 12, 1))
    assert not remove_closure(date(2026, 12, 1))
    assert settlement_date(date(2026, 11, 30)) == date(2026, 12, 1)


def test_an_early_close_is_still_a_settlement_day(db: None) -> None:
    set_closure(date(2026, 12, 1), time(12), "Storm", by="sam")
    found = session(date(2026, 12, 1))
    assert found is not None
    assert found.closes == time(12)
    assert settlement_date(date(2026, 11, 30)) == date(2026, 12, 1)


def test_an_early_close_does_not_lengthen_a_half_day(db: None) -> None:
    set_closure(date(2026, 11, 27), time(15), "-", by="sam")
    found = session(date(2026, 11, 27))
    assert found is not None
    assert found.closes == time(13)


def test_staff_override_the_exchange(db: None) -> None:
    ClosureFactory.create(day=date(2026, 12, 1), closes=None, reason="by mistake", source="exchange")
    calendar.expire()
    assert session(date(2026, 12, 1)) is None
    set_closure(date(2026, 12, 1), time(16), "The exchange opens after all", by="sam")
    assert session(date(2026, 12, 1)) is not None
    set_closure(date(2026, 12, 1), time(13), "Early", by="sam")
    assert len(calendar.closures()) == 1


def test_the_next_session_skips_closed_days(db: None) -> None:
    moment = datetime(2026, 11, 27, 15, 0, tzinfo=EASTERN)
    assert calendar.next_session(moment) == session(date(2026, 11, 30))
    set_closure(date(2026, 11, 30), None, "-", by="sam")
    assert calendar.next_session(moment) == session(date(2026, 12, 1))


@pytest.mark.django_db(transaction=True)
def test_a_thread_waits_while_another_reads_the_closures() -> None:
    assert settlement_date(date(2026, 12, 1)) == date(2026, 12, 2)
    ClosureFactory.create(day=date(2026, 12, 2), closes=None)
    calendar.expire()
    is_reading = threading.Event()

    def delay_statement(execute: Any, *statement: Any) -> Any:
        is_reading.set()
        sleep(0.2)
        return execute(*statement)

    def read_closures() -> None:
        with connection.execute_wrapper(delay_statement):
            calendar.closures()
        connection.close()

    reader = threading.Thread(target=read_closures)
    reader.start()
    is_reading.wait(5)
    assert settlement_date(date(2026, 12, 1)) == date(2026, 12, 3), "no trade may settle on the closed day"
    reader.join()
