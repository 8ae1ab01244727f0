"""Starts the cluster, prints its address once it is ready, and stops it on Ctrl-C."""

from __future__ import annotations

import dataclasses
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from psycopg.conninfo import make_conninfo

from cluster import network
from cluster.control import Control
from cluster.errors import UserError
from cluster.nodes import NODES, of_kind
from cluster.packages import PROJECT, install_patroni, install_programs
from cluster.programs import PORT, Programs, Secrets, make_database_user
from cluster.rabbitmq import rabbitmqctl
from cluster.supervision import Hosts
from cluster.watch import Watch
from local import postgresql
from local.ready import ready_text

READY_SECONDS_MAX = 600.0
DEFAULT_PORT = 8000


def folder() -> Path:
    """Return the folder of the cluster's data, logs and socket."""
    return Path(os.environ.get("CLUSTER_DIR") or PROJECT / "var/cluster").resolve()


def up() -> int:
    """Run the cluster until SIGINT or SIGTERM; return the exit code. Raises UserError."""
    stop_requested = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop_requested.set())
    data_dir = folder()
    data_dir.mkdir(parents=True, exist_ok=True)
    install_programs(_say)
    patroni = install_patroni(data_dir / "patroni", _say)
    for name in ("data", "log"):
        shutil.rmtree(data_dir / name, ignore_errors=True)
    make_database_user()
    binaries = postgresql.binaries()
    postgresql.allow_server_user(binaries, data_dir / "data", (patroni / "python").resolve())
    with socket.create_server(("127.0.0.1", int(os.environ.get("PORT") or DEFAULT_PORT))) as listener:
        os.set_inheritable(listener.fileno(), True)
        network.up()
        programs = Programs(data_dir, Secrets(), patroni, binaries, listener.fileno())
        hosts = Hosts(programs)
        try:
            with network.inside("cl"):
                startup = Startup(programs, hosts, stop_requested)
                startup.all()
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            _write_facts(data_dir, programs, hosts, url)
            _say(_ready_text(url, startup.demo))
            stop_requested.wait()
        except Stopped:
            pass
        finally:
            _say("stopping")
            hosts.end()
            network.down()
            (data_dir / "control.sock").unlink(missing_ok=True)
            if not os.environ.get("CLUSTER_KEEP"):
                shutil.rmtree(data_dir / "data", ignore_errors=True)
    return 0


class Stopped(Exception):
    """SIGINT or SIGTERM was received."""


class Startup:
    """The steps from nothing to a cluster that serves requests."""

    def __init__(self, programs: Programs, hosts: Hosts, stop_requested: threading.Event) -> None:
        self._programs, self._hosts, self._stop_requested = programs, hosts, stop_requested
        self._began = time.monotonic()
        self.demo: dict[str, Any] = {}

    def all(self) -> None:
        """Start everything in order. Raises UserError, Stopped."""
        # The brokers start early, because forming their cluster takes a while.
        for kind in ("db", "cache", "ex", "mq"):
            for node in of_kind(kind):
                self._hosts[node.name].boot()
        static = self._begin("collectstatic", "--noinput", "--clear")
        self._wait_until("PostgreSQL has a primary", self._primary_is_ready)
        self._create_roles_and_database()
        done = self._manage("set_up", "--demo", "--json", STATEMENT_TIMEOUT_MS="0", TRANSACTION_TIMEOUT_MS="0")
        self.demo = json.loads(done)["demo"]
        self._step("Database migrated, demo data loaded")
        self._finish(static)
        self._share_static()
        self._wait_until("RabbitMQ has three nodes", self._brokers_are_ready)
        for kind in ("lane", "sweep", "stream", "web", "lb"):
            for node in of_kind(kind):
                self._hosts[node.name].boot()
        self._wait_until("The balancer answers", lambda: _status(NODES["lb"].address, PORT, "/readyz") == 200)
        self._wait_until("Two standbys are in step", self._standbys_are_in_step)

    def _primary_is_ready(self) -> bool:
        return any(_status(node.address, 8008, "/primary") == 200 for node in of_kind("db"))

    def _brokers_are_ready(self) -> bool:
        (first, *_) = of_kind("mq")
        status: Any = rabbitmqctl(first.name, self._programs.rabbitmq_environment(first), "cluster_status")
        return status is not None and len(status["running_nodes"]) == len(of_kind("mq"))

    def _standbys_are_in_step(self) -> bool:
        members = Watch(lambda **_: {}).members()
        return bool(sum(member["role"] == "quorum_standby" for member in members) == len(of_kind("db")) - 1)

    def _create_roles_and_database(self) -> None:
        """Run deploy/roles.sql on the primary."""
        keys = self._programs.keys
        command = [str(postgresql.binaries() / "psql"), "-q", "-v", "ON_ERROR_STOP=1"]
        result = subprocess.run(
            [*network.command("cl"), *command, "-f", str(PROJECT / "deploy/roles.sql"), make_conninfo(**admin(keys))],
            env={"PATH": os.defpath, "OWNER_PASSWORD": keys.owner, "RUNTIME_PASSWORD": keys.database},
            capture_output=True,
            text=True,
        )
        if result.returncode != 0:
            raise UserError(f"deploy/roles.sql failed: {result.stderr}")

    def _share_static(self) -> None:
        """Link the collected static files into every web node, as if they had been deployed with the release."""
        for node in of_kind("web"):
            (self._programs.data(node) / "static").symlink_to(self._programs.data(NODES["cl"]) / "static")

    def _begin(self, *arguments: str, **more: str) -> subprocess.Popen[str]:
        command, environment = self._programs.manage(*arguments, **more)
        return subprocess.Popen(
            [*network.command("cl"), *command],
            cwd=PROJECT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _manage(self, *arguments: str, **more: str) -> str:
        return self._finish(self._begin(*arguments, **more))

    def _finish(self, process: subprocess.Popen[str]) -> str:
        output, errors = process.communicate()
        if self._stop_requested.is_set():
            raise Stopped
        if process.returncode != 0:
            raise UserError(f"{process.args!r}: {errors.strip()[-2000:]}")
        return output

    def _wait_until(self, condition: str, holds: Callable[[], bool]) -> None:
        while not holds():
            if self._stop_requested.wait(0.3):
                raise Stopped
            if time.monotonic() - self._began > READY_SECONDS_MAX:
                logs = self._programs.folder / "log"
                raise UserError(f"Still waiting for “{condition}” after {READY_SECONDS_MAX:.0f} s; see {logs}.")
        self._step(condition)

    def _step(self, text: str) -> None:
        _say(f"{time.monotonic() - self._began:6.1f} s  {text}")


def admin(keys: Secrets) -> dict[str, Any]:
    """Return the arguments for connecting to the primary as superuser, from inside the network."""
    return {
        "host": ",".join(node.address for node in of_kind("db")),
        "port": 5432,
        "user": "postgres",
        "password": keys.admin,
        "dbname": "postgres",
        "target_session_attrs": "read-write",
        "connect_timeout": 3,
    }


def _status(address: str, port: int, path: str) -> int:
    try:
        return _get(address, port, path)[0]
    except (OSError, http.client.HTTPException):
        return 0


def _get(address: str, port: int, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(address, port, timeout=2)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def _write_facts(data_dir: Path, programs: Programs, hosts: Hosts, url: str) -> None:
    admin_url = f"postgres://postgres:{programs.keys.admin}@"
    Control(
        data_dir,
        hosts,
        {
            "url": url,
            "inside": f"http://{NODES['lb'].address}:{PORT}",
            "balancerSocket": str(programs.data(NODES["lb"]) / "admin.sock"),
            "rabbitmq": programs.rabbitmq_environment(NODES["mq1"]),
            "keys": dataclasses.asdict(programs.keys),
            "adminDatabase": admin_url + ",".join(f"{database_node.address}:5432" for database_node in of_kind("db")),
            "environment": programs.brokerage_environment(NODES["cl"]),
        },
    )


def _ready_text(url: str, demo: dict[str, Any]) -> str:
    return (
        f"\n{ready_text(url, demo)}\n"
        f"  {len(NODES)} nodes; watch them with `make cluster-status`\n"
        '  break one with `make cluster-fault FAULT="power db1 30"` (kill, power, cut, deaf, end, freeze)\n'
        f"  mail is in {folder() / 'data/web*/mail'}\n"
        f"  logs are in {folder() / 'log'}; Ctrl-C stops everything\n"
    )


def _say(text: str) -> None:
    print(text, flush=True)
