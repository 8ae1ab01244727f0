"""The unmodified deploy/haproxy.cfg shields two real `web` processes from bad clients, and fails over between them."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from uuid import uuid4

import psutil
import psycopg
import pytest
import urllib3

from local.harness import Brokerage
from local.ports import LOOPBACK
from tests.security.balancer import BINARY, Balancer, wait_until
from tests.security.conftest import STRANGERS_A_MINUTE
from tests.stories.test_streams import Reader

pytestmark = [pytest.mark.story, pytest.mark.skipif(BINARY is None, reason="HAProxy is not installed")]

REQUEST_SECONDS_MAX = 10.0  # `timeout http-request`
ANSWER_SECONDS_MAX = 5.0  # generous for a busy machine; a blocked request would exceed the timeout above
EMAIL, PASSWORD = "slow@example.com", "correct horse battery"
OUTSIDE = "127.0.0.9"  # an address that the test leaves out of INSIDE and EXCHANGE
PLACING = {"stockTicker": "AAPL", "type": "BUY", "quantity": 1}
CUT_OFF = 0  # instead of a status
TRADES = 16
SLOW_MAX = 4  # concurrent slow requests per `web`, which has 16 threads


@pytest.fixture(scope="module")
def token(brokerage: Brokerage) -> str:
    created = brokerage.manage("create_customer", EMAIL, "--password", PASSWORD, "--deposit", "1000000", "--json")
    return str(json.loads(created.stdout)["token"])


@pytest.fixture
def client(balancer: Balancer, token: str) -> urllib3.HTTPConnectionPool:
    """Return a customer's API client, once every `web` is up."""
    wait_until(lambda: set(balancer.states().values()) == {"UP"}, explain=balancer.log)
    return urllib3.HTTPConnectionPool(
        LOOPBACK, balancer.port, maxsize=8, retries=False, timeout=20, headers={"Authorization": f"Bearer {token}"}
    )


def place(client: urllib3.HTTPConnectionPool, key: str) -> int:
    return client.request(
        "POST", "/api/v1/trades", json=PLACING, headers={**(client.headers or {}), "Idempotency-Key": key}
    ).status


def get_status(balancer: Balancer, path: str, source: str = LOOPBACK, **headers: str) -> int:
    """Send a GET from this address; return the status."""
    connection = http.client.HTTPConnection(LOOPBACK, balancer.port, timeout=10, source_address=(source, 0))
    try:
        connection.request("GET", path, headers={name.replace("__", "-"): value for name, value in headers.items()})
        return connection.getresponse().status
    finally:
        connection.close()


def head(token: str, *lines: str) -> bytes:
    headers = [f"Host: {LOOPBACK}", "Content-Type: application/json", f"Authorization: Bearer {token}", *lines]
    return "\r\n".join(["POST /api/v1/trades HTTP/1.1", *headers, "", ""]).encode()


def slow_clients(token: str) -> list[tuple[bytes, bytes]]:
    """Return what each slow client sends first, and what it then sends repeatedly."""
    large = f"X-Large: {'x' * 15_000}"
    return [
        (head(token, "Content-Length: 300"), b" "),
        (head(token, "Content-Length: 99000") + b" " * 80_000, b" "),
        (head(token, "Content-Length: 99000", large) + b" " * 80_000, b" "),
        (head(token, "Transfer-Encoding: chunked"), b"1\r\n \r\n"),
        (head(token, "Transfer-Encoding: chunked", large) + b"14c08\r\n" + b" " * 85_000 + b"\r\n", b"1\r\n \r\n"),
    ]


class Trickle(threading.Thread):
    """A client that sends a few bytes twice a second until it is disconnected."""

    def __init__(self, port: int, sent: tuple[bytes, bytes]) -> None:
        super().__init__(daemon=True)
        self._port, (self._sent_first, self._sent_repeatedly) = port, sent
        self.response, self.seconds, self.stop = b"", 0.0, False

    def run(self) -> None:
        started_at = time.monotonic()
        with socket.create_connection((LOOPBACK, self._port), 5) as client:
            client.sendall(self._sent_first)
            client.settimeout(0.5)
            while not self.stop:
                try:
                    received = client.recv(1000)
                    self.response += received
                    if not received:
                        break
                except TimeoutError:
                    try:
                        client.sendall(self._sent_repeatedly)
                    except OSError:
                        break
                except OSError:
                    break
        self.seconds = time.monotonic() - started_at


def test_clients_with_slow_bodies_are_disconnected_and_block_no_others(
    balancer: Balancer, client: urllib3.HTTPConnectionPool, token: str, record_property: Callable[[str, object], None]
) -> None:
    reader = Reader(f"{balancer.url}/api/v1/events", token)
    reader.start()
    wait_until(lambda: reader.times_opened == 1)
    crowd = [Trickle(balancer.port, sent) for sent in slow_clients(token) * 12]
    for slow in crowd:
        slow.start()
    seconds = []
    deadline = time.monotonic() + REQUEST_SECONDS_MAX + 5
    while any(slow.is_alive() for slow in crowd):
        assert time.monotonic() < deadline, [slow.response for slow in crowd if slow.is_alive()]
        started_at = time.monotonic()
        assert place(client, str(uuid4())) == 201
        seconds.append(time.monotonic() - started_at)
        time.sleep(0.1)
    figures = f"{len(crowd)} slow bodies, {len(seconds)} placings of others, the slowest took {max(seconds):.3f} s"
    record_property("figures", f"balancer: {figures}")
    assert max(seconds) < ANSWER_SECONDS_MAX, figures
    assert {slow.response[:13] for slow in crowd} == {b"HTTP/1.1 408 "}
    assert min(slow.seconds for slow in crowd) > REQUEST_SECONDS_MAX - 1
    # An event stream, which no request timeout may cut off, continued in the meantime.
    wait_until(lambda: len(reader.events) >= len(seconds))
    assert reader.times_opened == 1
    reader.stop = True


def test_a_body_that_is_too_large_is_refused_immediately(balancer: Balancer, token: str) -> None:
    announced = head(token, "Content-Length: 10000000000") + b"{"
    not_announced = head(token, "Transfer-Encoding: chunked") + b"1d4c0\r\n" + b" " * 120_000
    for request in (announced, not_announced):
        started_at = time.monotonic()
        with socket.create_connection((LOOPBACK, balancer.port), 5) as client:
            client.sendall(request)
            assert client.recv(1000).startswith(b"HTTP/1.1 413 ")
        assert time.monotonic() - started_at < ANSWER_SECONDS_MAX
    with socket.create_connection((LOOPBACK, balancer.port), 5) as client:
        client.sendall(head(token, f"X-Large: {'x' * 17_000}", "Content-Length: 0"))
        assert client.recv(1000).startswith(b"HTTP/1.1 431 ")


def test_a_chunked_body_is_read_and_each_response_has_one_request_id(balancer: Balancer, token: str) -> None:
    order = json.dumps(PLACING).encode()
    first_chunk, second_chunk = order[:9], order[9:]
    chunks = b"%x\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(first_chunk), first_chunk, len(second_chunk), second_chunk)
    expected = {
        head(token, "Transfer-Encoding: chunked", "Connection: close") + chunks: b"201",
        head(token, "Content-Length: 10000000000", "Connection: close") + b"{": b"413",  # the balancer's own response
    }
    for request, status in expected.items():
        with socket.create_connection((LOOPBACK, balancer.port), 5) as client:
            client.sendall(request)
            response = b"".join(iter(lambda client=client: client.recv(65536), b""))  # type: ignore[misc]
        assert response.startswith(b"HTTP/1.1 " + status), response
        assert len(re.findall(rb"(?mi)^x-request-id: [0-9a-f-]{36}\r$", response)) == 1, response


def test_internal_addresses_are_404_from_outside(balancer: Balancer) -> None:
    for path in ("/admin/", "/admin", "/%61dmin/login/", "/metrics", "/%6Detrics", "/readyz", "/exchange/callbacks"):
        assert get_status(balancer, path, OUTSIDE) == 404, path
        assert get_status(balancer, path) in ({404} if path == "/admin" else {200, 302, 405}), path
    assert get_status(balancer, "/healthz", OUTSIDE) == 200


def test_requests_are_distributed_over_all_web_processes(
    balancer: Balancer, client: urllib3.HTTPConnectionPool
) -> None:
    before = balancer.served()
    for _ in range(20):
        assert client.request("GET", "/api/v1/balance").status == 200
    shares = balancer.served() - before
    assert shares == {"web_1": 10, "web_2": 10}


def test_streams_outlast_a_stream_server_that_is_busy_for_a_while(
    brokerage: Brokerage, balancer: Balancer, client: urllib3.HTTPConnectionPool, token: str
) -> None:
    """Taking it out of service would end every stream, although no other server could serve them."""
    reader = Reader(f"{balancer.url}/api/v1/events", token)
    reader.start()
    wait_until(lambda: reader.times_opened == 1)
    stream = psutil.Process(brokerage.processes()["stream.1"])
    busy = [stream, *stream.children(recursive=True)]
    for process in busy:
        process.suspend()
    time.sleep(6)
    for process in busy:
        process.resume()
    assert place(client, str(uuid4())) == 201
    wait_until(lambda: len(reader.events) > 0)
    assert reader.times_opened == 1
    reader.stop = True


def test_slow_requests_leave_threads_for_others(balancer: Balancer, client: urllib3.HTTPConnectionPool) -> None:
    guesser = urllib3.HTTPConnectionPool(
        LOOPBACK, balancer.port, maxsize=40, retries=False, timeout=30, source_address=("127.0.0.67", 0)
    )

    def guess(number: int) -> int:
        body = {"email": f"nobody{number}@example.com", "password": "guessed", "name": "x"}
        return guesser.request("POST", "/api/v1/tokens", json=body).status

    with ThreadPoolExecutor(40) as pool:
        guesses = [pool.submit(guess, number) for number in range(40)]
        while not all(attempt.done() for attempt in guesses):
            assert client.request("GET", "/api/v1/balance").status == 200
    assert {attempt.result() for attempt in guesses} <= {401, 429, 503}
    assert balancer.concurrent_requests_max("slow") == SLOW_MAX


def test_forged_address_headers_are_ignored(brokerage: Brokerage, balancer: Balancer) -> None:
    def request_with_forged_header(number: int, source: str) -> int:
        claimed = f"203.0.113.{number % 250}"
        header = ("X__Forwarded__For", "X_Forwarded_For", "Forwarded", "X__Real__IP")[number % 4]
        return get_status(balancer, "/api/v1/balance", source, **{header: claimed})

    # Even if a minute ends in between, one of the two minutes has more requests than the limit.
    statuses = Counter(request_with_forged_header(number, "127.0.0.5") for number in range(2 * STRANGERS_A_MINUTE + 2))
    assert set(statuses) == {401, 429}
    # The client whose address is forged must not be limited.
    assert get_status(balancer, "/api/v1/balance", "127.0.0.6", X__Forwarded__For="127.0.0.5") == 401

    connection = http.client.HTTPConnection(LOOPBACK, balancer.port, timeout=10, source_address=("127.0.0.7", 0))
    body = json.dumps({"email": EMAIL, "password": PASSWORD, "name": "test"})
    headers = {"Content-Type": "application/json", "X-Forwarded-For": "203.0.113.1", "X_Forwarded_For": "203.0.113.2"}
    connection.request("POST", "/api/v1/tokens", body, headers)
    assert connection.getresponse().status == 201
    connection.close()
    with psycopg.connect(brokerage.environment["DATABASE_URL"]) as database:
        addresses = database.execute("SELECT address FROM accounts_signin WHERE kind = 'token'").fetchall()
    assert addresses == [("127.0.0.7",)]


def test_killing_a_web_process_loses_no_request(
    brokerage: Brokerage,
    balancer: Balancer,
    client: urllib3.HTTPConnectionPool,
    record_property: Callable[[str, object], None],
) -> None:
    faults = f"{brokerage.exchange_url}/v1/faults"
    urllib3.request("PUT", faults, json={"latencyMs": 100})
    pids = brokerage.processes()
    stop = threading.Event()
    read: Counter[int] = Counter()
    placed: Counter[int] = Counter()

    def read_repeatedly() -> None:
        while not stop.is_set():
            try:
                read[client.request("GET", "/api/v1/trades").status] += 1
            except urllib3.exceptions.ProtocolError:
                read[CUT_OFF] += 1

    def place_until_accepted(number: int) -> None:
        for _ in range(20):
            try:
                status = place(client, f"killed-{number}")
            except urllib3.exceptions.ProtocolError:  # a kept-alive connection was closed
                status = 502
            placed[status] += 1
            if status < 500:
                break
            time.sleep(0.2)
        assert status in (200, 201)

    with ThreadPoolExecutor(5) as threads, ExitStack() as cleanup:
        cleanup.callback(stop.set)
        cleanup.callback(urllib3.request, "DELETE", faults)
        # Freeze supervisord, which would restart the process, until the end of this block.
        os.kill(pids["supervisord"], signal.SIGSTOP)
        cleanup.callback(os.kill, pids["supervisord"], signal.SIGCONT)
        readers = [threads.submit(read_repeatedly) for _ in range(2)]
        doomed = psutil.Process(pids["web.2"])
        doomed_processes = [doomed, *doomed.children(recursive=True)]
        placings = [threads.submit(place_until_accepted, number) for number in range(TRADES)]
        wait_until(lambda: placed.total() > TRADES // 4)
        for process in doomed_processes:
            process.kill()
        noticed = wait_until(lambda: balancer.states()["web_2"] == "DOWN", 10)
        for placing in placings:
            placing.result(30)
        wait_until(lambda: len(sources_of_settling_reports(brokerage)) == TRADES, explain=balancer.log)
        # On a slow machine the sweep may ask about a trade before the exchange repeats its callback, but rarely.
        assert sources_of_settling_reports(brokerage).count("callback") > TRADES // 2
        assert balancer.states() == {"web_1": "UP", "web_2": "DOWN"}
        before = balancer.served()
        for _ in range(10):
            assert client.request("GET", "/api/v1/balance").status == 200
        assert (balancer.served() - before).keys() == {"web_1"}
        stop.set()
        for reading in readers:
            reading.result(30)
    record_property("figures", f"balancer: a dead web noticed after {noticed:.1f} s; placings {dict(placed)}")
    # No request failed after the kill: the balancer sent unanswered requests to the other process. It can't do so for a
    # response that had begun, nor for a request that was still open when it marked the process down and closed its
    # sessions. Each reader had at most one of these, and may repeat a GET.
    assert set(read) - {CUT_OFF} == {200}
    assert read[CUT_OFF] <= len(readers)
    seconds = wait_until(lambda: balancer.states()["web_2"] == "UP")
    before = balancer.served()
    for _ in range(10):
        assert client.request("GET", "/api/v1/balance").status == 200
    assert (balancer.served() - before)["web_2"] >= 4, seconds


def sources_of_settling_reports(brokerage: Brokerage) -> list[str]:
    """Return the source of the report that settled each filled trade of the kill test."""
    with psycopg.connect(brokerage.environment["DATABASE_URL"]) as database:
        rows = database.execute(
            "SELECT max(r.source) FILTER (WHERE r.outcome = 'settled') FROM trades_trade AS t"
            " JOIN trades_report AS r ON r.trade_id = t.id"
            " WHERE t.idempotency_key LIKE 'killed-%' AND t.status = 'FILLED' GROUP BY t.id"
        ).fetchall()
    return [source for (source,) in rows]


def test_without_a_broker_every_web_stays_in_rotation(
    brokerage: Brokerage, balancer: Balancer, client: urllib3.HTTPConnectionPool
) -> None:
    pid = brokerage.kill("valkey", signal.SIGSTOP)
    try:
        deadline = time.monotonic() + 3.5  # two health checks, each of which waits a second for the broker
        while time.monotonic() < deadline:
            assert set(balancer.states().values()) == {"UP"}
            assert client.request("GET", "/api/v1/balance").status == 200
            time.sleep(0.2)
        assert get_status(balancer, "/readyz") == 503
    finally:
        os.kill(pid, signal.SIGCONT)


def test_without_the_balancer_slow_bodies_would_block_a_web_process(brokerage: Brokerage, token: str) -> None:
    crowd = [Trickle(brokerage.port, slow_clients(token)[0]) for _ in range(60)]
    for slow in crowd:
        slow.start()
    time.sleep(1)
    with pytest.raises(urllib3.exceptions.TimeoutError):
        urllib3.request("GET", f"{brokerage.url}/healthz", timeout=3, retries=False)
    check = f"http://{LOOPBACK}:{brokerage.health_port}/readyz"
    assert urllib3.request("GET", check, timeout=3, retries=False).status == 200, "health checks don't wait"
    for slow in crowd:
        slow.stop = True
    for slow in crowd:
        slow.join(5)
    wait_until(lambda: urllib3.request("GET", f"{brokerage.url}/healthz", timeout=5, retries=False).status == 200)
