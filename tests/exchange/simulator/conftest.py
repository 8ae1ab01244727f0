"""The stand-in exchange as a real process, and a broker that listens for its callbacks."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import urllib3

ROOT = Path(__file__).resolve().parents[3]
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PATIENCE_SECONDS = 20


def until(condition: Any, seconds: float = PATIENCE_SECONDS) -> Any:
    """Return the result of `condition` once it is true; fail if it is not true in time."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, f"not true within {seconds} s"
        time.sleep(0.01)
    return result


def free_port() -> Any:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Exchange:
    """One exchange with its own port and folder, which can be started and killed."""

    def __init__(self, folder: Any, **environment: Any) -> None:
        self.port = free_port()
        self.folder = folder
        self.environment = {
            "EXCHANGE_PORT": str(self.port),
            "DATA_DIR": str(folder),
            "EXCHANGE_SECRET": SECRET,
            "EXCHANGE_LATENCY_MS": "0",
        } | environment
        self.process: Any = None
        self.http = urllib3.PoolManager(retries=False, timeout=10)

    def start(self) -> Any:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "exchange.simulator"],
            cwd=ROOT,
            env=os.environ | self.environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        until(self._responds)
        return self

    def _responds(self) -> Any:
        assert self.process.poll() is None, self.process.stderr.read()
        try:
            return self.call("GET", "/healthz")[0] == 200
        except urllib3.exceptions.HTTPError:
            return False

    def kill(self) -> Any:
        return self._end(signal.SIGKILL)

    def stop(self, number: int = signal.SIGTERM) -> Any:
        return self._end(number)

    def _end(self, number: int) -> Any:
        self.http.clear()
        if self.process is None:
            return None
        self.process.send_signal(number)
        code = self.process.wait(PATIENCE_SECONDS)
        self.process.stderr.close()
        self.process = None
        return code

    def call(
        self, method: str, path: str, body: Any = None, timeout: float = 10, raw: Any = None, headers: Any = None
    ) -> Any:
        """Send a request; return the status and the body of the response."""
        data = json.dumps(body) if body is not None else raw
        response = self.http.request(
            method,
            f"http://127.0.0.1:{self.port}{path}",
            body=data,
            headers={"Content-Type": "application/json"} | (headers or {}),
            timeout=timeout,
        )
        assert response.headers["content-type"] == "application/json"
        assert response.headers["exchange-time"].endswith("Z")
        return response.status, json.loads(response.data)

    def get(self, path: str) -> Any:
        status, body = self.call("GET", path)
        assert status == 200, body
        return body

    def execute(self, callback_url: str, *trades: Any, **options: Any) -> Any:
        return self.call("POST", "/v1/trades", {"callbackUrl": callback_url, "trades": list(trades)}, **options)

    def faults(self, **faults: Any) -> Any:
        status, body = self.call("PUT", "/v1/faults", faults)
        assert status == 200, body
        return body

    def record(self, trade_id: str) -> Any:
        return self.call("GET", f"/v1/trades/{trade_id}")

    def final(self, trade_id: str) -> Any:
        """Wait until a trade is final; return the exchange's report on it."""

        def find_final() -> Any:
            status, report = self.record(trade_id)
            return report if status == 200 and report["status"] != "ACCEPTED" else None

        return until(find_final)

    def whole_record(self) -> Any:
        entries, after = [], 0
        while after is not None:
            page = self.get(f"/v1/trades?after={after}&limit=50")
            entries += page["results"]
            after = page["next"]
        return entries


class Broker:
    """A broker that records all callbacks and responds as configured."""

    def __init__(self) -> None:
        self.posts: list[Any] = []
        self.status = 200
        self.gate = threading.Event()
        self.gate.set()
        broker = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                status = broker.status
                broker.posts.append((dict(self.headers.items()), body, status))
                broker.gate.wait(PATIENCE_SECONDS)
                try:
                    self.send_response(status)
                    if status == 302:
                        self.send_header("Location", "/elsewhere")
                    self.send_header("Content-Length", "2")
                    self.end_headers()
                    self.wfile.write(b"{}")
                except OSError:
                    self.close_connection = True

            def log_message(self, *args: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # a killed exchange leaves connections behind

        self.server = Server(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    @property
    def url(self) -> Any:
        return f"http://127.0.0.1:{self.server.server_address[1]}/exchange/callbacks"

    def reports(self, trade_id: str | None = None) -> Any:
        """Return all reports received, oldest first."""
        reports = [report for _, body, _ in list(self.posts) for report in json.loads(body)["reports"]]
        return [report for report in reports if trade_id in (None, report["tradeId"])]

    def wait(self, trade_id: str, count: int = 1) -> Any:
        """Wait for this many reports on a trade, and return them."""
        return until(lambda: reports if len(reports := self.reports(trade_id)) >= count else None)

    def close(self) -> None:
        self.gate.set()
        self.server.shutdown()
        self.server.server_close()


def make_trade(**terms: Any) -> Any:
    """Return the terms of a trade that fills, with these changes."""
    expires_at = datetime.now(UTC) + timedelta(minutes=10)
    return {
        "tradeId": str(uuid4()),
        "stockTicker": "AAPL",
        "type": "BUY",
        "quantity": 3,
        "maxPrice": "100000.0000",
        "expiresAt": expires_at.isoformat().replace("+00:00", "Z"),
    } | terms


@pytest.fixture
def trade() -> Any:
    return make_trade


@pytest.fixture
def wait_until() -> Any:
    return until


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Run one exchange for all tests of a module that do not stop it."""
    exchange = Exchange(tmp_path_factory.mktemp("exchange")).start()
    yield exchange
    exchange.stop()


@pytest.fixture
def exchange(running: Exchange) -> Iterator[Any]:
    """Return the module's exchange, without faults."""
    running.call("DELETE", "/v1/faults")
    yield running
    running.call("DELETE", "/v1/faults")


@pytest.fixture
def new_exchange(tmp_path: Path) -> Iterator[Any]:
    """Return a function that creates exchanges that the test may kill, in the same folder unless it names another."""
    exchanges = []

    def make(**environment: Any) -> Any:
        exchanges.append(Exchange(Path(environment.pop("folder", tmp_path)), **environment))
        return exchanges[-1]

    yield make
    for exchange in exchanges:
        exchange.kill()


@pytest.fixture
def broker() -> Iterator[Any]:
    broker = Broker()
    yield broker
    broker.close()
