"""Every database guarantee about trades, their history and reports withstands an attempt to break it."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.db import DatabaseError, transaction
from django.db.models import ProtectedError
from django.utils.timezone import now
from pytest_django.plugin import DjangoDbBlocker

from accounts.models import Customer
from tests import people
from tests.factories import (
    CorporateActionFactory,
    DayTotalFactory,
    EntitlementFactory,
    FeeRateFactory,
    StaffReportFactory,
    TradingControlFactory,
)
from tests.guarantees import guarantee_named_by, guarantees_in_meta, guarantees_of, refusal
from tests.lasting import lasting
from tests.people import claim, receive_shares
from trades.models import Report, Status, StatusChange, Trade, TradingControl, Type
from trades.place import place_trade

pytestmark = pytest.mark.django_db

INSERT = """
    INSERT INTO trades_trade (id, customer_id, sequence, ticker, type, quantity, idempotency_key, status, reason_code)
    VALUES (gen_random_uuid(), {customer}, {sequence}, 'AAPL', {type}, {quantity}, {key}, {status}, '')
"""


def insert(
    customer: str = "%(alice)s",
    sequence: int = 99,
    type: str = "'BUY'",
    quantity: int = 1,
    key: str = "NULL",
    status: str = "'PLACED'",
) -> str:
    return INSERT.format(customer=customer, sequence=sequence, type=type, quantity=quantity, key=key, status=status)


def change(trade: str, assignments: str) -> str:
    return f"UPDATE trades_trade SET {assignments} WHERE id = %({trade})s"


SENT = "status = 'IN PROGRESS', claimed_at = now(), expires_at = now(), ask_at = now()"
ENDED = "price = 10, amount = 10, settled_at = now()"
CONTROL = (
    "INSERT INTO trades_tradingcontrol (kind, ticker, customer_id, is_on, value, by_id, reason) VALUES ({}, 'test')"
)
ACTION = (
    "INSERT INTO trades_corporateaction "
    "(id, kind, ticker, ex_date, pay_date, amount_per_share, numerator, denominator, new_ticker, reference_price, "
    "announcement, sequence, state, entered_by, approved_by, cursor, holders, shares, cash) "
    "VALUES (gen_random_uuid(), {}, 'announced', '', '', 0, 0, 0, 0)"
)
ENTITLEMENT = (
    "INSERT INTO trades_entitlement (id, action_id, customer_id, shares, shares_after, cash) "
    "VALUES (gen_random_uuid(), {}, 1, 1, 1)"
)
STAFF = (
    "INSERT INTO trades_staffreport "
    "(trade_id, status, price, entered_by_id, approved, decided_by_id, decided_at, reason) VALUES ({}, 'test')"
)
FEE_RATE = """
    INSERT INTO trades_feerate (kind, first_day, last_day, per_usd, per_share, maximum, source, by)
    VALUES ({kind}, '2026-01-01', {last}, {per_usd}, 0, {maximum}, 'a notice', '')
"""
ATTEMPTS = [
    ("fee_rates_stay", "UPDATE trades_feerate SET per_usd = per_usd"),
    ("fee_rates_stay", "DELETE FROM trades_feerate"),
    ("fee_rate_makes_sense", FEE_RATE.format(kind="'tip'", last="NULL", per_usd=0, maximum="NULL")),
    ("fee_rate_makes_sense", FEE_RATE.format(kind="'sec'", last="'2025-12-31'", per_usd=0, maximum="NULL")),
    ("fee_rate_makes_sense", FEE_RATE.format(kind="'sec'", last="NULL", per_usd=1, maximum="NULL")),
    ("fee_rate_makes_sense", FEE_RATE.format(kind="'sec'", last="NULL", per_usd=0, maximum="0")),
    ("day_totals_stay", "UPDATE trades_daytotal SET amount = 2"),
    ("day_totals_stay", "DELETE FROM trades_daytotal"),
    (
        "one_total_a_day",
        "INSERT INTO trades_daytotal (day, account, part, amount) SELECT day, account, part, 2 FROM trades_daytotal",
    ),
    ("trade_has_its_place_in_line", insert(sequence=1)),
    ("one_trade_in_flight", change("placed", f"{SENT}, max_price = 1")),
    ("one_trade_a_key", insert(key="'once'")),
    ("trade_has_terms", insert(quantity=0)),
    ("trade_has_terms", insert(quantity=-1)),
    ("trade_has_terms", insert(sequence=0)),
    ("trade_has_terms", insert(type="'HOLD'")),
    ("trade_has_terms", insert().replace("'AAPL'", "''")),
    ("trades_begin_placed", insert(status="'IN PROGRESS'")),
    ("trades_begin_placed", insert(status="'FILLED'")),
    ("trade_is_as_its_status_says", change("placed", "status = 'CANCELLED'")),
    ("trade_is_as_its_status_says", change("placed", "status = 'REJECTED', settled_at = now(), reason_code = 'mood'")),
    # A comparison with NULL is neither true nor false, and a CHECK constraint accepts that.
    ("trade_is_as_its_status_says", change("bobs_only", SENT)),
    ("trade_is_as_its_status_says", change("in_flight", "status = 'FILLED', settled_at = now()")),
    ("trade_is_as_its_status_says", change("in_flight", "status = 'FILLED', price = 10, settled_at = now()")),
    ("trade_is_as_its_status_says", change("in_flight", "status = 'FILLED', amount = 10, settled_at = now()")),
    ("trade_is_as_its_status_says", change("placed", "claimed_at = now()")),
    ("trade_is_as_its_status_says", change("placed", "price = 1")),
    ("trade_is_as_its_status_says", change("placed", "amount = 1")),
    ("trade_is_as_its_status_says", change("placed", "reason_code = 'expired'")),
    ("trade_is_as_its_status_says", change("placed", "settled_at = now()")),
    ("trade_is_as_its_status_says", change("placed", "status = 'REJECTED', settled_at = now()")),
    ("trade_is_as_its_status_says", change("placed", "status = 'REJECTED', reason_code = 'expired'")),
    ("trade_is_as_its_status_says", change("in_flight", "price = 1")),
    ("trade_is_as_its_status_says", change("in_flight", "ask_at = NULL")),
    ("trade_is_as_its_status_says", change("in_flight", "status = 'FILLED'")),
    ("trade_is_as_its_status_says", change("in_flight", "status = 'FILLED', price = 10, amount = 10")),
    (
        "trade_is_as_its_status_says",
        change("in_flight", "status = 'FILLED', price = 0, amount = 10, settled_at = now()"),
    ),
    (
        "trade_is_as_its_status_says",
        change("in_flight", "status = 'FILLED', price = 10, amount = 0, settled_at = now()"),
    ),
    ("trade_is_as_its_status_says", change("in_flight", f"status = 'FILLED', {ENDED}, reason_code = 'expired'")),
    (
        "trade_is_as_its_status_says",
        change("in_flight", "status = 'FILLED', price = 10, amount = max_price + 0.0001, settled_at = now()"),
    ),
    ("trade_is_as_its_status_says", change("in_flight", f"status = 'REJECTED', {ENDED}, reason_code = 'expired'")),
    ("trade_is_as_its_status_says", change("in_flight", "status = 'REJECTED', settled_at = now()")),
    ("trades_trade_customer_id_fk", insert(customer="0")),
    *[
        ("trades_stay", f"DELETE FROM trades_trade WHERE id = %({trade})s")
        for trade in ("placed", "in_flight", "filled", "rejected")
    ],
    ("final_trades_stay", change("filled", "price = price + 1")),
    ("final_trades_stay", change("filled", "amount = amount - 1")),
    ("final_trades_stay", change("filled", "ask_at = now()")),
    ("final_trades_stay", change("filled", "customer_id = %(bob)s")),
    (
        "final_trades_stay",
        change("filled", "status = 'REJECTED', price = NULL, amount = NULL, reason_code = 'exchange_error'"),
    ),
    ("final_trades_stay", change("rejected", f"status = 'FILLED', {ENDED}, reason_code = ''")),
    ("final_trades_stay", change("rejected", "reason_code = 'expired'")),
    ("final_trades_stay", change("rejected", "status = 'PLACED', reason_code = '', settled_at = NULL")),
    ("trades_go_forward", change("in_flight", "status = 'PLACED'")),
    ("trades_go_forward", change("placed", f"status = 'FILLED', {ENDED}, max_price = 10")),
    ("trade_terms_stay", change("placed", "customer_id = %(bob)s")),
    ("trade_terms_stay", change("placed", "sequence = 99")),
    ("trade_terms_stay", change("placed", "ticker = 'MSFT'")),
    ("trade_terms_stay", change("placed", "type = 'SELL'")),
    ("trade_terms_stay", change("placed", "quantity = quantity + 1")),
    ("trade_terms_stay", change("placed", "placed_at = placed_at - interval '1 s'")),
    ("trade_terms_stay", change("placed", "idempotency_key = 'another'")),
    ("trade_terms_stay", change("placed", "when_closed = 'queue'")),
    ("trade_terms_stay", change("placed", "time_in_force = 'gtc'")),
    ("queued_trade_may_wait", change("placed", "queued_at = now()")),
    ("trade_terms_stay", change("in_flight", "quantity = quantity + 1")),
    ("sent_terms_stay", change("in_flight", "max_price = max_price - 1")),
    ("sent_terms_stay", change("in_flight", "last_price = 10, collar = 0.05")),
    ("collar_has_its_price", change("placed", "last_price = 10, collar = 0.05")),
    ("collar_has_its_price", change("bobs_only", f"{SENT}, max_price = 1, last_price = 10")),
    ("collar_has_its_price", change("bobs_only", f"{SENT}, max_price = 1, last_price = 0, collar = 0.05")),
    ("collar_has_its_price", change("bobs_only", f"{SENT}, max_price = 1, last_price = 10, collar = -0.01")),
    ("sent_terms_stay", change("in_flight", "expires_at = expires_at + interval '1 s'")),
    ("sent_terms_stay", change("in_flight", "claimed_at = claimed_at + interval '1 s'")),
    ("sent_terms_stay", change("in_flight", f"status = 'FILLED', {ENDED}, max_price = 10")),
    (
        "each_status_once",
        "INSERT INTO trades_statuschange (trade_id, from_status, to_status, reason, by, customer_id) "
        "VALUES (%(filled)s, 'IN PROGRESS', 'FILLED', '', 'test', 0)",
    ),
    (
        "trades_statuschange_trade_id_fk",
        "INSERT INTO trades_statuschange (trade_id, from_status, to_status, reason, by, customer_id) "
        "VALUES (gen_random_uuid(), '', 'PLACED', '', 'test', 0)",
    ),
    ("trades_statuschange_trade_id_fk", change("placed", "id = gen_random_uuid()")),
    ("status_changes_stay", "UPDATE trades_statuschange SET reason = 'Another reason.' WHERE trade_id = %(filled)s"),
    ("status_changes_stay", "UPDATE trades_statuschange SET at = now() WHERE trade_id = %(placed)s"),
    ("status_changes_stay", "DELETE FROM trades_statuschange WHERE trade_id = %(filled)s"),
    ("reports_stay", "DELETE FROM trades_report WHERE trade_id = %(filled)s"),
    ("report_words_stay", "UPDATE trades_report SET body = '{}' WHERE trade_id = %(filled)s"),
    ("report_words_stay", "UPDATE trades_report SET trade_id = %(placed)s WHERE trade_id = %(filled)s"),
    ("report_words_stay", "UPDATE trades_report SET digest = 'another' WHERE trade_id = %(filled)s"),
    ("report_words_stay", "UPDATE trades_report SET customer_id = %(bob)s WHERE trade_id = %(filled)s"),
    ("report_words_stay", "UPDATE trades_report SET source = 'sweep' WHERE trade_id = %(filled)s"),
    ("report_words_stay", "UPDATE trades_report SET received_at = now() WHERE trade_id = %(filled)s"),
    ("report_is_of_a_kind", "UPDATE trades_report SET outcome = 'forgotten' WHERE trade_id = %(filled)s"),
    ("counters_count_up", "UPDATE trades_tradecounter SET last = last - 1 WHERE customer_id = %(alice)s"),
    ("counters_stay", "DELETE FROM trades_tradecounter WHERE customer_id = %(alice)s"),
    (
        "trades_report_digest_key",
        "INSERT INTO trades_report (trade_id, digest, body, source, outcome, reason) "
        "SELECT trade_id, digest, body, source, outcome, reason FROM trades_report WHERE trade_id = %(filled)s",
    ),
    ("trades_tradecounter_customer_id_fk", "INSERT INTO trades_tradecounter (customer_id, last) VALUES (0, 1)"),
    (
        "trades_trademail_customer_id_fk",
        "INSERT INTO trades_trademail (customer_id, xact, first, last) VALUES (0, 1, 1, 1)",
    ),
    ("control_has_its_subject", CONTROL.format("'halt_ticker', '', NULL, true, NULL, %(alice)s")),
    ("control_has_its_subject", CONTROL.format("'halt_customer', '', NULL, true, NULL, %(alice)s")),
    ("control_has_its_subject", CONTROL.format("'halt_all', 'AAPL', NULL, true, NULL, %(alice)s")),
    ("control_has_its_subject", CONTROL.format("'nonsense', '', NULL, true, NULL, %(alice)s")),
    ("control_has_its_value", CONTROL.format("'shares_max', '', NULL, true, NULL, %(alice)s")),
    ("control_has_its_value", CONTROL.format("'shares_max', '', NULL, true, 0, %(alice)s")),
    ("control_has_its_value", CONTROL.format("'halt_all', '', NULL, true, 3, %(alice)s")),
    ("trades_tradingcontrol_by_id_fk", CONTROL.format("'halt_all', '', NULL, true, NULL, 0")),
    ("trades_tradingcontrol_customer_id_fk", CONTROL.format("'halt_customer', '', 0, true, NULL, %(alice)s")),
    ("controls_stay", "UPDATE trades_tradingcontrol SET is_on = false"),
    ("controls_stay", "DELETE FROM trades_tradingcontrol"),
    ("one_staff_report_waits", STAFF.format("%(in_flight)s, 'REJECTED', NULL, %(alice)s, NULL, NULL, NULL")),
    ("staff_report_has_its_price", STAFF.format("%(placed)s, 'FILLED', NULL, %(alice)s, NULL, NULL, NULL")),
    ("staff_report_has_its_price", STAFF.format("%(placed)s, 'FILLED', 0, %(alice)s, NULL, NULL, NULL")),
    ("staff_report_has_its_price", STAFF.format("%(placed)s, 'REJECTED', 1, %(alice)s, NULL, NULL, NULL")),
    ("staff_report_needs_two", STAFF.format("%(placed)s, 'REJECTED', NULL, %(alice)s, true, %(alice)s, now()")),
    ("staff_report_is_decided_by_somebody", STAFF.format("%(placed)s, 'REJECTED', NULL, %(alice)s, true, NULL, NULL")),
    ("staff_reports_stay", "DELETE FROM trades_staffreport"),
    ("decided_staff_reports_stay", "UPDATE trades_staffreport SET approved = true WHERE approved = false"),
    ("trades_staffreport_trade_id_fk", STAFF.format("gen_random_uuid(), 'REJECTED', NULL, %(bob)s, NULL, NULL, NULL")),
    ("trades_staffreport_entered_by_id_fk", STAFF.format("%(placed)s, 'REJECTED', NULL, 0, NULL, NULL, NULL")),
    (
        "trades_staffreport_decided_by_id_fk",
        STAFF.format("%(placed)s, 'REJECTED', NULL, %(alice)s, true, 0, now()"),
    ),
    *[
        ("corporate_action_has_its_terms", ACTION.format(terms + ", NULL, NULL"))
        for terms in (
            "'CASH_DIVIDEND', 'AAPL', now(), now(), NULL, NULL, NULL, '', NULL",
            "'CASH_DIVIDEND', 'AAPL', now(), NULL, 1, NULL, NULL, '', NULL",
            "'SPLIT', 'AAPL', now(), NULL, NULL, 2, NULL, '', NULL",
            "'SPLIT', 'AAPL', now(), NULL, NULL, 2, 0, '', NULL",
            "'TICKER_CHANGE', 'AAPL', now(), NULL, NULL, NULL, NULL, '', NULL",
            "'MERGER', 'AAPL', now(), NULL, NULL, NULL, NULL, '', NULL",
        )
    ],
    (
        "trades_corporateaction_announcement_key",
        ACTION.format("'DELISTING', 'AAPL', now(), NULL, NULL, NULL, NULL, '', NULL, 'once', NULL"),
    ),
    (
        "trades_corporateaction_sequence_key",
        ACTION.format("'DELISTING', 'AAPL', now(), NULL, NULL, NULL, NULL, '', NULL, 'twice', 1"),
    ),
    ("corporate_actions_stay", "DELETE FROM trades_corporateaction"),
    ("corporate_action_terms_stay", "UPDATE trades_corporateaction SET numerator = 3 WHERE state = 'approved'"),
    ("ended_corporate_actions_stay", "UPDATE trades_corporateaction SET state = 'approved' WHERE state = 'done'"),
    ("one_entitlement", ENTITLEMENT.format("%(action)s, %(alice)s")),
    ("entitlements_stay", "UPDATE trades_entitlement SET cash = cash + 1"),
    ("entitlements_stay", "DELETE FROM trades_entitlement"),
    ("trades_entitlement_action_id_fk", ENTITLEMENT.format("gen_random_uuid(), %(alice)s")),
    ("trades_entitlement_customer_id_fk", ENTITLEMENT.format("%(action)s, 0")),
]


def rows(alice: Customer, bob: Customer) -> dict[str, Any]:
    """Create a trade of Alice in every status, and Bob's only trade; return the ids by name."""
    FeeRateFactory.create()
    DayTotalFactory.create()
    bobs_only, _ = place_trade(bob.id, "AAPL", Type.BUY, 1)
    TradingControlFactory.create(kind=TradingControl.Kind.RESTRICT_TICKER, ticker="NONE", by=alice)
    filled = receive_shares(alice, "AAPL", 1, Decimal(10))
    rejected, _ = place_trade(alice.id, "AAPL", Type.SELL, 99)
    in_flight, _ = place_trade(alice.id, "AAPL", Type.BUY, 1)
    placed, _ = place_trade(alice.id, "AAPL", Type.BUY, 1, key="once")
    assert claim(alice) == [in_flight]
    StaffReportFactory.create(trade=in_flight, entered_by=alice)
    StaffReportFactory.create(
        trade=in_flight,
        entered_by=alice,
        approved=False,
        decided_by=bob,
        decided_at=now(),
    )
    trades = {"filled": filled, "rejected": rejected, "in_flight": in_flight, "placed": placed}
    for trade in trades.values():
        trade.refresh_from_db()
    assert [trade.status for trade in trades.values()] == ["FILLED", "REJECTED", "IN PROGRESS", "PLACED"]
    action = CorporateActionFactory.create(announcement="once", sequence=1, state="approved")
    CorporateActionFactory.create(state="done")
    EntitlementFactory.create(action=action, customer=alice)
    other_ids = {"alice": alice.id, "bob": bob.id, "bobs_only": bobs_only.id, "action": action.id}
    return other_ids | {name: trade.id for name, trade in trades.items()}


@pytest.fixture(scope="module")
def ids(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[dict[str, Any]]:
    with lasting(django_db_blocker):
        yield rows(people.alice(), people.bob())


@pytest.mark.parametrize(("guarantee", "statement"), ATTEMPTS)
def test_the_database_refuses(guarantee: str, statement: str, ids: dict[str, Any]) -> None:
    assert refusal(statement, ids) == guarantee


def test_every_guarantee_has_a_test(db: None) -> None:
    tested = {guarantee for guarantee, _ in ATTEMPTS}
    assert tested == guarantees_of("trades")
    assert tested >= guarantees_in_meta("trades")


def test_a_customer_with_trades_cannot_be_deleted(ids: dict[str, Any]) -> None:
    with pytest.raises(ProtectedError):
        Customer.objects.get(pk=ids["alice"]).delete()
    with pytest.raises(ProtectedError):
        Trade.objects.get(pk=ids["filled"]).delete()


@pytest.mark.parametrize(
    ("guarantee", "attempt"),
    [
        ("final_trades_stay", lambda: Trade.objects.filter(status=Status.FILLED).update(price=1)),
        ("final_trades_stay", lambda: Trade.objects.filter(status=Status.REJECTED).update(status=Status.PLACED)),
        ("final_trades_stay", lambda: Trade.objects.get(status=Status.REJECTED).save()),
        ("trades_go_forward", lambda: Trade.objects.filter(status=Status.IN_PROGRESS).update(status=Status.PLACED)),
        ("trades_stay", lambda: Trade.objects.filter(status=Status.PLACED)._raw_delete("default")),
        ("trade_terms_stay", lambda: Trade.objects.filter(status=Status.PLACED).update(quantity=5)),
        ("sent_terms_stay", lambda: Trade.objects.filter(status=Status.IN_PROGRESS).update(max_price=5)),
        ("status_changes_stay", lambda: StatusChange.objects.update(by="nobody")),
        ("status_changes_stay", lambda: StatusChange.objects.all().delete()),
        ("reports_stay", lambda: Report.objects.all().delete()),
        ("report_words_stay", lambda: Report.objects.update(body="{}")),
    ],
)
def test_the_orm_cannot_bypass_the_guarantees(guarantee: str, attempt: Callable[[], Any], ids: dict[str, Any]) -> None:
    with pytest.raises(DatabaseError) as caught, transaction.atomic():
        attempt()
    assert guarantee_named_by(caught.value) == guarantee


def test_the_outcome_of_a_report_can_be_updated(ids: dict[str, Any]) -> None:
    assert Report.objects.filter(trade_id=ids["filled"]).update(reason="Reviewed.") == 1
