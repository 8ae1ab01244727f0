"""The exchange's callback: which requests it accepts and which it refuses."""

import base64
import json
import secrets
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from standardwebhooks import Webhook

from accounts.models import Customer
from tests.people import claim, report_body, take_rung_customers
from tests.responses import assert_problem
from trades.callback import REPORTS_MAX
from trades.lane import lane_of
from trades.models import Outcome, Report, Status, Trade
from trades.place import place_trade

PATH = "/exchange/callbacks"


def signed(raw: bytes, at: datetime | None = None, secret: str | None = None, id: str = "msg_1") -> dict[str, str]:
    """Return the headers that the exchange sends with this body."""
    at = at or datetime.now(UTC)
    return {
        "webhook-id": id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret or settings.EXCHANGE_SECRET).sign(id, at, raw.decode()),
    }


def deliver(raw: bytes, headers: dict[str, str]) -> Any:
    return Client().post(PATH, raw, content_type="application/json", headers=headers)


def reports_of(*bodies: Any) -> bytes:
    return json.dumps({"reports": bodies}).encode()


@pytest.fixture
def trade(bob: Customer) -> Trade:
    """Return Bob's trade IN PROGRESS."""
    place_trade(bob.id, "AAPL", "BUY", 3)
    return claim(bob)[0]


@pytest.fixture
def raw(trade: Trade) -> bytes:
    """Return a callback that reports the fill of Bob's trade."""
    return reports_of(report_body(trade, Status.FILLED, Decimal(100)))


def test_a_signed_report_is_stored_and_rings_for_its_customer(
    trade: Trade, raw: bytes, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        response = deliver(raw, signed(raw))
    assert (response.status_code, response.content) == (204, b"")
    assert Report.objects.get(trade_id=trade.id).outcome == Outcome.WAITING
    assert take_rung_customers(lane_of(trade.customer_id)) == [trade.customer_id]


def test_the_next_turn_settles_the_report(trade: Trade, raw: bytes, bob: Customer) -> None:
    deliver(raw, signed(raw))
    claim(bob)
    trade.refresh_from_db()
    assert trade.status == Status.FILLED


def test_a_repeated_callback_is_accepted_and_stored_once(trade: Trade, raw: bytes) -> None:
    headers = signed(raw)
    assert [deliver(raw, headers).status_code for _ in range(3)] == [204] * 3
    assert Report.objects.filter(trade_id=trade.id).count() == 1


def test_a_report_about_an_unknown_trade_is_accepted_and_stored(trade: Trade) -> None:
    unknown_id = "0193a9a0-0000-7000-8000-000000000000"
    raw = reports_of(report_body(trade, Status.FILLED, Decimal(100), tradeId=unknown_id))
    assert deliver(raw, signed(raw)).status_code == 204
    assert Report.objects.get(trade_id=unknown_id).outcome == Outcome.UNKNOWN_TRADE


def test_a_malformed_report_does_not_block_the_others(trade: Trade, bob: Customer) -> None:
    raw = reports_of({"tradeId": 5}, {}, report_body(trade, Status.FILLED, Decimal(100)))
    assert deliver(raw, signed(raw)).status_code == 204
    assert Report.objects.count() == 3


def test_a_hundred_reports_are_accepted(db: None) -> None:
    raw = reports_of(*({"n": n} for n in range(REPORTS_MAX)))
    assert deliver(raw, signed(raw)).status_code == 204
    assert Report.objects.count() == REPORTS_MAX


@pytest.mark.parametrize("minutes", [-6, -600, 6, 600])
def test_a_callback_with_an_old_timestamp_is_refused(trade: Trade, raw: bytes, minutes: int) -> None:
    assert_problem(deliver(raw, signed(raw, datetime.now(UTC) + timedelta(minutes=minutes))), 401, "unsigned")
    assert not Report.objects.exists()


@pytest.mark.parametrize("minutes", [-4, 4])
def test_clocks_may_differ_by_minutes(raw: bytes, minutes: int) -> None:
    assert deliver(raw, signed(raw, datetime.now(UTC) + timedelta(minutes=minutes))).status_code == 204


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
@pytest.mark.parametrize(
    "value",
    [None, "", "v1", "v1,", "v1,a,b", "v1,YQ==", "v2,YQ==", "é", "\xff", "\x00", "1" * 10_000, "-1", "NaN", "1e99"],
    ids=lambda value: repr(value)[:12],
)
def test_a_callback_with_a_changed_header_is_refused(raw: bytes, name: str, value: str | None) -> None:
    headers = signed(raw)
    if value is None:
        del headers[name]
    else:
        headers[name] = value
    assert_problem(deliver(raw, headers), 401, "unsigned")
    assert not Report.objects.exists()


def test_a_callback_changed_after_signing_is_refused(raw: bytes) -> None:
    assert_problem(deliver(raw.replace(b"100.0", b"900.0"), signed(raw)), 401, "unsigned")


def test_a_callback_signed_with_another_secret_is_refused(raw: bytes) -> None:
    other_secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    assert_problem(deliver(raw, signed(raw, secret=other_secret)), 401, "unsigned")


def test_both_secrets_are_accepted_during_a_rotation(raw: bytes, settings: Any) -> None:
    old, new = settings.EXCHANGE_SECRET, "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    settings.EXCHANGE_SECRET = f"{new} {old}"
    assert deliver(raw, signed(raw, secret=old)).status_code == 204
    assert deliver(raw, signed(raw, secret=new)).status_code == 204
    settings.EXCHANGE_SECRET = new
    assert deliver(raw, signed(raw, secret=old)).status_code == 401


def test_a_callback_that_is_not_utf_8_is_refused(db: None) -> None:
    assert_problem(deliver(b"\xff\xfe", signed(b"{}")), 401, "unsigned")


@pytest.mark.parametrize(
    "raw",
    [
        b"[]",
        b"null",
        b'"reports"',
        b"{}",
        b'{"reports": null}',
        b'{"reports": {}}',
        b'{"reports": []}',
        b'{"reports": [1]}',
        b'{"reports": [[]]}',
        b'{"reports": [{}, null]}',
        reports_of(*({"n": n} for n in range(REPORTS_MAX + 1))),
        b'{"reports": [{"a": NaN}]}',
        *(b'{"reports": [{"a": ' + b"[" * depth + b"]" * depth + b"}]}" for depth in (99, 400, 800)),
    ],
    ids=lambda raw: repr(raw)[:40],
)
def test_a_signed_body_without_reports_is_refused(db: None, raw: bytes) -> None:
    assert_problem(deliver(raw, signed(raw)), 400, "malformed")
    assert not Report.objects.exists()


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[" * 100_000, b"[" * 950 + b"]" * 950, b"9" * 5000], ids=lambda raw: repr(raw)[:12]
)
def test_a_signed_body_that_is_not_json_is_refused(db: None, raw: bytes) -> None:
    assert deliver(raw, signed(raw)).status_code in {400, 401}


def test_a_body_that_is_too_large_is_refused_unread(db: None) -> None:
    raw = b" " * (settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1)
    assert_problem(deliver(raw, signed(raw)), 413, "too_large")


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"])
def test_only_post_is_allowed(db: None, method: str) -> None:
    response = Client().generic(method, PATH)
    assert (response.status_code, response["Allow"]) == (405, "POST")


def test_a_callback_needs_no_api_token_and_no_csrf_token(raw: bytes) -> None:
    client = Client(enforce_csrf_checks=True)
    assert client.post(PATH, raw, content_type="application/json", headers=signed(raw)).status_code == 204
