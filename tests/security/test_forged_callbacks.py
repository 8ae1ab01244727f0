"""Thousands of forged callbacks change nothing, and none causes a 5xx."""

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
    genuine = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(settings.EXCHANGE_SECRET).sign("msg_1", at, body),
    }
    random_source, client = random.Random(1), Client()
    before = Report.objects.count()
    for _ in range(FORGERIES):
        headers, raw = dict(genuine), body.encode()
        kind = random_source.randrange(5)
        if kind == 0:  # junk in one of the headers
            headers[random_source.choice(list(headers))] = random_source.choice(JUNK)
        elif kind == 1:  # one bit of the body flipped
            position = random_source.randrange(len(raw))
            raw = raw[:position] + bytes([raw[position] ^ (1 << random_source.randrange(8))]) + raw[position + 1 :]
        elif kind == 2:  # a different or malformed time
            headers["webhook-timestamp"] = random_source.choice(
                [
                    str(int(time.time()) + random_source.choice([-1, 1]) * random_source.randrange(301, 10**9)),
                    "-1",
                    "1e400",
                    "NaN",
                    "9" * 400,
                ]
            )
        elif kind == 3:  # without one of the headers
            del headers[random_source.choice(list(headers))]
        else:  # signed with another secret
            headers["webhook-signature"] = Webhook("whsec_" + "QUJD" * 8).sign("msg_1", at, body)
        response = client.generic(
            "POST",
            "/exchange/callbacks",
            raw,
            content_type="application/json",
            headers=headers,
        )
        assert response.status_code == 401, (headers, raw, response.content)
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
        response = Client().generic(
            "POST", "/exchange/callbacks", body, content_type="application/json", headers=headers
        )
        assert response.status_code == 204
    assert Report.objects.filter(trade_id=trade.id).count() == 1
