"""Event streams over real HTTP: resumed after SIGKILL, they neither lose nor repeat an event."""

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from websockets.sync.client import connect

from local.harness import Brokerage
from tests.stories.conftest import call

pytestmark = pytest.mark.story
Account = Callable[..., dict[str, Any]]


class Reader(threading.Thread):
    """Reads server-sent events, and reconnects with the last id whenever the stream breaks."""

    def __init__(self, url: str, token: str) -> None:
        super().__init__(daemon=True)
        self.url, self.token = url, token
        self.last_id: str | None = None
        self.events: list[dict[str, Any]] = []
        self.times_opened, self.stop = 0, False

    def run(self) -> None:
        while not self.stop:
            headers = {"Authorization": f"Bearer {self.token}"} | (
                {"Last-Event-ID": self.last_id} if self.last_id else {}
            )
            try:
                with urllib.request.urlopen(urllib.request.Request(self.url, headers=headers), timeout=30) as response:  # noqa: S310
                    self.times_opened += 1
                    self._read(response)
            except (OSError, HTTPException):
                time.sleep(0.2)

    def _read(self, response: Any) -> None:
        fields: dict[str, str] = {}
        for line in response:
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name:
                fields[name] = value
                continue
            self.last_id = fields.get("id", self.last_id)
            if "data" in fields:
                self.events.append({"id": fields["id"], "event": fields["event"], **json.loads(fields["data"])})
            fields = {}
            if self.stop:
                return


def place(brokerage: Brokerage, token: str, quantity: int = 1) -> str:
    """Place a trade with an idempotency key, and repeat the request until it succeeds."""
    key = str(uuid4())
    body = {"stockTicker": "AAPL", "type": "BUY", "quantity": quantity}
    for _ in range(100):
        try:
            response = call(f"{brokerage.url}/api/v1/trades", body, token, **{"Idempotency-Key": key})
            return str(response["tradeId"])
        except urllib.error.HTTPError as error:
            with error:
                failure = f"{error.code} {error.read()[:300]!r}"
        except OSError as error:
            failure = repr(error)
        time.sleep(0.3)
    raise AssertionError(f"no order was accepted: {failure}\n{brokerage.output()[-3000:]}")


def eventually(condition: Callable[[], object], seconds_max: float = 60.0) -> None:
    started_at = time.monotonic()
    while not condition():
        assert time.monotonic() - started_at < seconds_max, f"not true within {seconds_max} s"
        time.sleep(0.05)


def event_ids_of(brokerage: Brokerage, customer_id: int) -> list[str]:
    """Return the ids of all events of a customer, from the database."""
    with psycopg.connect(brokerage.environment["DATABASE_URL"]) as database:
        rows = database.execute(
            "SELECT xact, id FROM trades_statuschange WHERE customer_id = %s ORDER BY xact, id", [customer_id]
        )
        return [f"{xact:016x}{change:016x}" for xact, change in rows]


def test_a_stream_resumed_after_sigkill_loses_and_repeats_no_event(brokerage: Brokerage, account: Account) -> None:
    credentials = account(f"{uuid4()}@example.com")
    token, customer_id = credentials["token"], int(credentials["customerId"])
    reader = Reader(f"http://127.0.0.1:{brokerage.stream_port}/api/v1/events", token)
    reader.start()
    eventually(lambda: reader.times_opened)
    for kill in (None, "web.1", "stream.1", None):
        for number in range(5):
            place(brokerage, token)
            if kill and number == 2:
                brokerage.kill(kill)
    eventually(lambda: len(event_ids_of(brokerage, customer_id)) == 60)
    eventually(lambda: len(reader.events) >= 60)
    time.sleep(0.5)
    reader.stop = True
    assert [event["id"] for event in reader.events] == event_ids_of(brokerage, customer_id)
    assert reader.times_opened >= 2, "the stream never broke"
    assert reader.events[-1]["event"] == "trade.filled"
    assert reader.events[-1]["trade"]["status"] == "FILLED"

    # On the WebSocket, each update has an id, and `after` resumes.
    address = f"ws://127.0.0.1:{brokerage.stream_port}/alpaca/stream"
    received: list[str] = []
    after = "0"
    for _ in range(3):
        with connect(f"{address}?after={after}") as socket:
            socket.send(
                json.dumps(
                    {
                        "action": "authenticate",
                        "data": {"key_id": credentials["keyId"], "secret_key": credentials["secretKey"]},
                    }
                )
            )
            assert json.loads(socket.recv(10))["data"]["status"] == "authorized"
            socket.send(json.dumps({"action": "listen", "data": {"streams": ["trade_updates"]}}))
            assert json.loads(socket.recv(10))["stream"] == "listening"
            for _ in range(20):
                received.append(json.loads(socket.recv(10))["data"]["event_id"])
            after = received[-1]
        brokerage.kill("stream.1")
        brokerage.wait_ready()
        eventually(lambda: is_listening(brokerage))
    assert received == event_ids_of(brokerage, customer_id)


def is_listening(brokerage: Brokerage) -> bool:
    try:
        return bool(call(f"http://127.0.0.1:{brokerage.stream_port}/healthz"))
    except OSError:
        return False


def test_streams_require_a_token_and_start_at_a_cursor(brokerage: Brokerage, account: Account) -> None:
    credentials = account(f"{uuid4()}@example.com")
    url = f"http://127.0.0.1:{brokerage.stream_port}/api/v1/events"
    for address, headers, status, code in [
        (url, {}, 401, "not_authenticated"),
        (url, {"Authorization": "Bearer brk_nobody"}, 401, "authentication_failed"),
        (url, {"Authorization": f"Bearer {credentials['token']}", "Last-Event-ID": "x"}, 400, "invalid"),
        (url + "?nothing=1", {"Authorization": f"Bearer {credentials['token']}"}, 400, "invalid"),
        (f"http://127.0.0.1:{brokerage.stream_port}/", {}, 404, "not_found"),
    ]:
        with pytest.raises(urllib.error.HTTPError) as refusal:
            urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=10)  # noqa: S310
        with refusal.value as response:
            assert (response.code, json.load(response)["code"]) == (status, code)

    # A stream ends with its token.
    second = call(
        f"{brokerage.url}/api/v1/tokens",
        {"email": credentials["email"], "password": "correct horse battery", "name": "second"},
    )
    headers = {"Authorization": f"Bearer {second['token']}"}
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=20) as response:
        assert response.readline().startswith(b"retry:")
        call(f"{brokerage.url}/api/v1/tokens/{second['tokenId']}", None, credentials["token"], "DELETE")
        assert b"data" not in response.read()


def test_a_stream_has_only_its_customers_events(brokerage: Brokerage, account: Account) -> None:
    """This holds from the first event and from another customer's cursor, for server-sent events and the WebSocket."""
    alice, bob = account(f"{uuid4()}@example.com"), account(f"{uuid4()}@example.com")
    alices_trade, _ = place(brokerage, alice["token"]), place(brokerage, alice["token"])
    eventually(lambda: len(event_ids_of(brokerage, int(alice["customerId"]))) == 6)
    alices_cursor = event_ids_of(brokerage, int(alice["customerId"]))[0]
    bobs_trade = place(brokerage, bob["token"])
    for after in ("0", alices_cursor):
        url = f"http://127.0.0.1:{brokerage.stream_port}/api/v1/events?after={after}"
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {bob['token']}"})
        received = b""
        with urllib.request.urlopen(request, timeout=20) as response:  # noqa: S310
            while received.count(b"event: trade.") < 3:
                received += response.readline()
        assert bobs_trade.encode() in received
        assert alices_trade.encode() not in received
    with connect(f"ws://127.0.0.1:{brokerage.stream_port}/alpaca/stream?after=0") as socket:
        keys = {"key_id": bob["keyId"], "secret_key": bob["secretKey"]}
        socket.send(json.dumps({"action": "authenticate", "data": keys}))
        socket.recv(10)
        socket.send(json.dumps({"action": "listen", "data": {"streams": ["trade_updates"]}}))
        socket.recv(10)
        assert {json.loads(socket.recv(10))["data"]["order"]["id"] for _ in range(3)} == {bobs_trade}


def test_web_redirects_to_the_stream_server(brokerage: Brokerage, account: Account) -> None:
    class NoRedirects(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *arguments: Any) -> None:
            return None

    credentials = account(f"{uuid4()}@example.com")
    request = urllib.request.Request(  # noqa: S310
        f"{brokerage.url}/api/v1/events?after=0", headers={"Authorization": f"Bearer {credentials['token']}"}
    )
    with pytest.raises(urllib.error.HTTPError) as response:
        urllib.request.build_opener(NoRedirects).open(request, timeout=10)
    response.value.close()
    assert response.value.code == 307
    assert response.value.headers["Location"] == f"http://127.0.0.1:{brokerage.stream_port}/api/v1/events?after=0"
