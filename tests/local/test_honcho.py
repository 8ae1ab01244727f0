"""`honcho start` with the Procfile works, with a PostgreSQL and a Valkey that are already running."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from local import ports
from tests.local.databases import database

pytestmark = pytest.mark.story

PROJECT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
READY_SECONDS_MAX = 300.0
ADDRESS = "127.0.0.5"  # the value of BIND


class Honcho:
    """The processes of the Procfile under honcho, without the variables that `make run` would set."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.environment = environment
        self.log = folder / "log"
        self.url = f"http://{ADDRESS}:{environment['WEB_PORT']}"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [str(BIN / "honcho"), "start", "--port", environment["WEB_PORT"], "--no-colour", "--no-prefix"],
                cwd=PROJECT,
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def get(self, path: str) -> tuple[int, bytes]:
        """Return the status and the body; the status is 0 if nothing answers."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=10) as response:  # noqa: S310
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
        except OSError:
            return 0, b""

    def manage(self, *arguments: str, attempts: int = 1) -> str:
        """Run a management command; return its output."""
        command = [sys.executable, "manage.py", *arguments]
        for _ in range(attempts):
            process = subprocess.run(
                command, cwd=PROJECT, env=self.environment, capture_output=True, text=True, timeout=120
            )
            if process.returncode == 0:
                return process.stdout
        raise AssertionError(process.stderr)

    def eventually(self, condition: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + READY_SECONDS_MAX
        while not (result := condition()):
            assert time.monotonic() < deadline, self.log.read_text()[-3000:]
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            time.sleep(0.2)
        return result


@pytest.fixture(scope="module")
def honcho(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Honcho]:
    folder = tmp_path_factory.mktemp("honcho")
    with database("honcho") as database_url:
        inherited = {key: os.environ[key] for key in ("HOME", "LANG", "TZ") if key in os.environ}
        web = ports.choose(1)
        exchange, stream = ports.choose(avoid=[web]), ports.choose(avoid=[web])
        environment = inherited | {
            "PATH": os.pathsep.join([str(BIN), os.environ["PATH"]]),
            "DATA_DIR": str(folder / "var"),
            "WEB_PORT": str(web),
            "EXCHANGE_PORT": str(exchange),
            "STREAM_PORT": str(stream),
            "DATABASE_URL": database_url,
            "BROKER_URL": urlunsplit(urlsplit(os.environ["BROKER_URL"])._replace(path="/15")),
            "EXCHANGE_URL": f"http://127.0.0.1:{exchange}",
            "EXCHANGE_SECRET": os.environ["EXCHANGE_SECRET"],
            "SECRET_KEY": os.environ["SECRET_KEY"],
            "BIND": ADDRESS,
            "ALLOWED_HOSTS": ADDRESS,
            "CALLBACK_URL": f"http://{ADDRESS}:{web}/exchange/callbacks",
            "PYTHONUNBUFFERED": "1",
        }
        honcho = Honcho(folder, environment)
        try:
            yield honcho
        finally:
            honcho.process.terminate()
            honcho.process.wait(30)


def test_the_procfile_works_unchanged(honcho: Honcho) -> None:
    status, body = honcho.eventually(lambda: (response := honcho.get("/readyz"))[0] and response)
    assert (status, json.loads(body)["migrations"]) == (503, False), "not ready until the database is migrated"
    # A migration may collide with the statements of running processes; another attempt continues it.
    honcho.manage("migrate", "--noinput", attempts=5)
    honcho.eventually(lambda: honcho.get("/readyz")[0] == 200)
    customer = json.loads(
        honcho.manage(
            "create_customer", "h@example.com", "--password", "a long enough one", "--deposit", "1000", "--json"
        )
    )
    order = {"stockTicker": "AAPL", "type": "BUY", "quantity": 1}
    trade = chunked_post(honcho, "/api/v1/trades", customer["token"], order)
    assert trade["status"] == "PLACED"

    def is_filled() -> bool:
        with psycopg.connect(honcho.environment["DATABASE_URL"]) as connection:
            statuses = connection.execute("SELECT status FROM trades_trade").fetchall()
            sources = connection.execute("SELECT source FROM trades_report").fetchall()
        return statuses == [("FILLED",)] and sources == [("callback",)]

    honcho.eventually(is_filled)
    with psycopg.connect(honcho.environment["DATABASE_URL"]) as connection:
        writers = {name for (name,) in connection.execute("SELECT by FROM trades_statuschange").fetchall()}
    assert writers <= {"api", "lanes.1", "sweep.1"}


def test_pages_are_served_without_collected_static_files(honcho: Honcho) -> None:
    status, page = honcho.eventually(lambda: (response := honcho.get("/account/login/"))[0] and response)
    assert status == 200
    link = page.partition(b'rel="stylesheet"')[0].rpartition(b"<link")[2] + page.partition(b'rel="stylesheet"')[2]
    stylesheet = link.partition(b'href="')[2].partition(b'"')[0].decode()
    assert stylesheet.startswith("/static/")
    assert honcho.get(stylesheet)[0] == 200


def test_processes_listen_only_on_the_address_in_bind(honcho: Honcho) -> None:
    for port in (honcho.environment["WEB_PORT"], honcho.environment["STREAM_PORT"]):
        honcho.eventually(lambda port=port: is_open(ADDRESS, port))  # type: ignore[misc]
        assert not is_open("127.0.0.1", port)


def is_open(address: str, port: str) -> bool:
    with socket.socket() as client:
        return client.connect_ex((address, int(port))) == 0


def chunked_post(honcho: Honcho, path: str, token: str, body: Any) -> Any:
    """Post a body in chunks, as streaming clients do; return the response's body."""
    content = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {ADDRESS}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n"
        "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in (content[:7], content[7:]))
    with socket.create_connection((ADDRESS, int(honcho.environment["WEB_PORT"])), 20) as sock:
        sock.sendall(head.encode() + chunks + b"0\r\n\r\n")
        response = b""
        while chunk := sock.recv(65_536):
            response += chunk
    assert response.startswith(b"HTTP/1.1 201"), response
    return json.loads(response.partition(b"\r\n\r\n")[2])
