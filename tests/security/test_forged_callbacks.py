"""Thousands of forged callbacks: none gets a 5xx or changes anything."""

from __future__ import annotations

import json
import random
import time
from datetime import UTC, datetime

import pytest
from django.conf import settings
from django.test import Client
from standardwebhooks import Webhook

from accounts.models import Customer
from tests.people import claim, report_body
from trades.models import Report, Status, Type
from trades.place import place_trade

pytestmark = pytest.mark.django_db
FORGERIES = 3_000
JUNK = ["", "v1", "v1,", "v1,a,b", ",", "v1,é", "\x00", "v2,", "v1," + "A" * 10_000, " ", "v1,\n", "🦊"]


def test_thousands_of_forged_altered_and_malformed_callbacks_change_nothing(alice: Customer) -> None:
    place_trade(alice.id, "AAPL", Type.BUY, 1)
    (trade,) = claim(alice)
    body = json.dumps({"reports": [report_body(trade, Status.FILLED, trade.hold)]})
    at = datetime.now(UTC)
    true = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(settings.EXCHANGE_SECRET).sign("msg_1", at, body),
    }
    dice, client = random.Random(1), Client()
    before = Report.objects.count()
    for _ in range(FORGERIES):
        headers, raw = dict(true), body.encode()
        what = dice.randrange(5)
        if what == 0:  # one of the headers
            headers[dice.choice(list(headers))] = dice.choice(JUNK)
        elif what == 1:  # one byte of the body
            at_byte = dice.randrange(len(raw))
            raw = raw[:at_byte] + bytes([raw[at_byte] ^ (1 << dice.randrange(8))]) + raw[at_byte + 1 :]
        elif what == 2:  # another time
            headers["webhook-timestamp"] = dice.choice(
                [
                    str(int(time.time()) + dice.choice([-1, 1]) * dice.randrange(301, 10**9)),
                    "-1",
                    "1e400",
                    "NaN",
                    "9" * 400,
                ]
            )
        elif what == 3:  # without one of the headers
            del headers[dice.choice(list(headers))]
        else:  # signed by somebody else
            headers["webhook-signature"] = Webhook("whsec_" + "QUJD" * 8).sign("msg_1", at, body)
        answer = client.generic(
            "POST",
            "/exchange/callbacks",
            raw,
            content_type="application/json",
            headers=headers,
        )
        assert answer.status_code == 401, (headers, raw, answer.content)
    assert Report.objects.count() == before
    trade.refresh_from_db()
    assert trade.status == Status.IN_PROGRESS


def test_a_replayed_callback_changes_nothing(alice: Customer) -> None:
    place_trade(alice.id, "AAPL", Type.BUY, 1)
    (trade,) = claim(alice)
    body = json.dumps({"reports": [report_body(trade, Status.REJECTED)]})
    at = datetime.now(UTC)
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(settings.EXCHANGE_SECRET).sign("msg_1", at, body),
    }
    for _ in range(3):
        answer = Client().generic("POST", "/exchange/callbacks", body, content_type="application/json", headers=headers)
        assert answer.status_code == 204
    assert Report.objects.filter(trade_id=trade.id).count() == 1
