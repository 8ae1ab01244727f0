"""The balancer's own responses over the wire, and a chunked callback that passes through it."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
import urllib3
from standardwebhooks import Webhook

from local.harness import Brokerage
from local.ports import LOOPBACK
from tests.security.balancer import BINARY, Balancer, wait_until
from tests.security.test_behind_the_balancer import OUTSIDE, PLACING, REQUEST_SECONDS_MAX, get_status, head

pytestmark = [pytest.mark.story, pytest.mark.skipif(BINARY is None, reason="HAProxy is not installed")]

REQUESTS_OF_AN_ADDRESS_MAX = 1000  # in 10 s


@pytest.fixture(scope="module")
def token(brokerage: Brokerage) -> str:
    arguments = ("own@example.com", "--password", "correct horse battery", "--deposit", "100000", "--json")
    return str(json.loads(brokerage.manage("create_customer", *arguments).stdout)["token"])


def response_to(balancer: Balancer, request: bytes, source: str = LOOPBACK) -> tuple[int, str, Any]:
    """Send a raw request; return the status, content type and JSON body of the response."""
    with socket.create_connection((LOOPBACK, balancer.port), REQUEST_SECONDS_MAX + 5, (source, 0)) as client:
        client.sendall(request)
        response = http.client.HTTPResponse(client)
        response.begin()
        return response.status, response.headers["Content-Type"], json.loads(response.read())


@pytest.mark.parametrize(
    ("path", "kind", "keys"),
    [
        ("/api/v1/trades", "application/problem+json", {"type", "title", "status", "detail", "code", "errors"}),
        ("/alpaca/v2/orders", "application/json", {"code", "message"}),
    ],
)
def test_the_balancers_errors_have_the_format_of_the_api(
    balancer: Balancer, token: str, path: str, kind: str, keys: set[str]
) -> None:
    def head_of(*lines: str) -> bytes:
        return head(token, *lines).replace(b"/api/v1/trades", path.encode())

    requests = {
        413: head_of("Content-Length: 10000000000") + b"{",
        431: head_of(f"X-Large: {'x' * 17_000}", "Content-Length: 0"),
        408: head_of("Content-Length: 300"),
    }
    for status, request in requests.items():
        response = response_to(balancer, request)
        assert response[:2] == (status, kind)
        assert response[2].keys() == keys
    chunks = head_of("Transfer-Encoding: chunked") + b"1d4c0\r\n" + b" " * 120_000
    assert response_to(balancer, chunks)[:2] == (413, kind)


def test_only_the_address_over_its_limit_is_refused(balancer: Balancer, token: str) -> None:
    crowd = http.client.HTTPConnection(LOOPBACK, balancer.port, timeout=10, source_address=("127.0.0.8", 0))

    def statuses(path: str, count: int) -> Counter[tuple[int, str | None]]:
        counts: Counter[tuple[int, str | None]] = Counter()
        for _ in range(count):
            crowd.request("GET", path)
            response = crowd.getresponse()
            body = response.read()
            if response.status == 429:
                assert json.loads(body)["code"] in {"throttled", 42910000}
            counts[response.status, response.headers["Content-Type"] if response.status == 429 else None] += 1
        return counts

    started_at = time.monotonic()
    first = statuses("/healthz", REQUESTS_OF_AN_ADDRESS_MAX)
    if time.monotonic() - started_at < 8:  # a slow machine does not reach the limit
        assert first == {(200, None): REQUESTS_OF_AN_ADDRESS_MAX}
        assert statuses("/api/v1/balance", 20)[429, "application/problem+json"] >= 19
        assert statuses("/alpaca/v2/account", 20)[429, "application/json"] >= 19
    crowd.close()
    assert get_status(balancer, "/healthz") == get_status(balancer, "/healthz", OUTSIDE) == 200


def test_the_balancers_errors_outside_the_apis_are_problem_details(balancer: Balancer, token: str) -> None:
    """Bytes that are not HTTP are not tested, because HAProxy 2.6 answers them with its built-in page."""
    status, kind, body = response_to(balancer, f"GET /admin/ HTTP/1.1\r\nHost: {LOOPBACK}\r\n\r\n".encode(), OUTSIDE)
    assert (status, kind, body["status"]) == (404, "application/problem+json", 404)


def test_a_chunked_callback_is_accepted(brokerage: Brokerage, balancer: Balancer, token: str) -> None:
    """The exchange's signature covers the whole body, however many chunks it arrives in."""
    urllib3.request("PUT", f"{brokerage.exchange_url}/v1/faults", json={"latencyMs": 60_000})
    try:
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "chunked-callback"}
        assert urllib3.request("POST", f"{balancer.url}/api/v1/trades", json=PLACING, headers=headers).status == 201
        with psycopg.connect(brokerage.environment["DATABASE_URL"], autocommit=True) as database:

            def status() -> tuple[str, str, str]:
                row = database.execute(
                    "SELECT id::text, status, reason_code FROM trades_trade WHERE idempotency_key = 'chunked-callback'"
                ).fetchone()
                assert row
                return row

            wait_until(lambda: status()[1] == "IN PROGRESS")
            report = {"tradeId": status()[0], "status": "REJECTED", "reasonCode": "exchange_error", "reason": "No."}
            unfilled = dict.fromkeys(("price", "amount", "executionId", "executedAt"))
            body, at = json.dumps({"reports": [report | PLACING | unfilled]}), datetime.now(UTC)
            signature = Webhook(brokerage.environment["EXCHANGE_SECRET"]).sign("msg_chunked", at, body)
            signed = {
                "Content-Type": "application/json",
                "webhook-id": "msg_chunked",
                "webhook-timestamp": str(int(at.timestamp())),
                "webhook-signature": signature,
            }
            pieces = [body[:20].encode(), body[20:].encode()]
            pool = urllib3.HTTPConnectionPool(LOOPBACK, balancer.port)
            response = pool.urlopen("POST", "/exchange/callbacks", iter(pieces), signed, chunked=True)
            assert response.status == 204, response.data
            wait_until(lambda: status()[1:] == ("REJECTED", "exchange_error"))
    finally:
        urllib3.request("DELETE", f"{brokerage.exchange_url}/v1/faults")
