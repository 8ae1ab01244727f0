"""The port of `web` that has only health checks and metrics."""

import http.client
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, connections

from brokerage.health_port import CLIENT_SECONDS_MAX, HealthServer
from brokerage.wsgi import health
from local import ports
from local.plan import PROJECT
from local.ports import LOOPBACK


@pytest.fixture
def port(transactional_db: None) -> Iterator[int]:
    """Serve health checks at a port, as `web` does."""
    server = HealthServer(LOOPBACK, 0, health)

    def serve() -> None:
        server.serve_forever()
        connections.close_all()  # of this thread

    with ThreadPoolExecutor(1) as pool, server:
        serving = pool.submit(serve)
        yield server.server_port
        server.shutdown()
        serving.result()


def get(port: int, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_it_has_health_checks_and_metrics_and_nothing_else(port: int) -> None:
    assert get(port, "/healthz") == (200, b'{"ok": true}')
    assert json.loads(get(port, "/readyz")[1])["database"] is True
    assert b"brokerage_open_trades" in get(port, "/metrics")[1]
    for path in ("/", "/admin/", "/api/v1/trades", "/exchange/callbacks", "/healthz/"):
        assert get(port, path) == (404, b"")


def test_a_client_that_says_nothing_delays_a_check_only_briefly(port: int) -> None:
    with socket.create_connection((LOOPBACK, port)), ThreadPoolExecutor(1) as pool:
        assert pool.submit(get, port, "/healthz").result(CLIENT_SECONDS_MAX + 5)[0] == 200


def test_checks_that_break_off_leave_it_answering(port: int) -> None:
    for _ in range(20):
        with socket.create_connection((LOOPBACK, port)) as client:
            client.sendall(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert get(port, "/healthz")[0] == 200


def test_all_checks_share_one_database_connection(port: int) -> None:
    def connected() -> int:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
            return int(cursor.fetchone()[0])

    get(port, "/readyz")
    before = connected()
    for _ in range(5):
        get(port, "/readyz")
    assert connected() == before


def test_two_workers_listen_on_the_same_port() -> None:
    port = ports.choose()
    servers = [HealthServer(LOOPBACK, port, health) for _ in range(2)]
    for server in servers:
        server.server_close()


@pytest.mark.process
def test_a_port_that_another_program_has_is_named() -> None:
    with socket.create_server((LOOPBACK, 0)) as other:
        taken = other.getsockname()[1]
        completed = subprocess.run(
            [sys.executable, "-c", "import brokerage.wsgi"],
            cwd=PROJECT,
            env={**os.environ, "HEALTH_PORT": str(taken)},
            capture_output=True,
            text=True,
        )
    assert completed.returncode == 1
    assert f"error: HEALTH_PORT is {taken}, but this process can't listen there: Address already in use" in (
        completed.stderr
    )
