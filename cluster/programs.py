"""The programs of each node, configured from the files in `deploy/` and the Procfile."""

from __future__ import annotations

import os
import pwd
import secrets
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cluster.nodes import NETWORK, NODES, Node, addresses, of_kind
from cluster.packages import PROJECT, RABBITMQ, SYSTEM_PATH, program
from local.valkey import binary

DATABASE_USER = "brokerage-postgres"
"""PostgreSQL refuses to run as root. `make run` uses the same system user."""
PORT, STREAM_PORT, EXCHANGE_PORT, HEALTH_PORT = 8000, 8200, 8100, 8300
PROCESSES = {"web": "web", "stream": "stream", "lane": "lanes", "sweep": "sweep"}
"""Kind of node -> process type in the Procfile."""


@dataclass(frozen=True)
class Program:
    """One program of a node, restarted whenever it ends."""

    name: str
    command: list[str]
    environment: dict[str, str]
    user: str | None = None
    leaves_children: bool = False
    """Whether its children outlive it and are adopted by its next run (as Patroni does with PostgreSQL)."""
    descriptors: tuple[int, ...] = ()
    hangs: tuple[str, ...] = ()
    """A command that is run periodically, and exits 0 if the program hangs and must be killed."""


@dataclass(frozen=True)
class Secrets:
    """Passwords and keys, generated for each cluster."""

    admin: str = field(default_factory=lambda: secrets.token_urlsafe(18))
    replication: str = field(default_factory=lambda: secrets.token_urlsafe(18))
    rewind: str = field(default_factory=lambda: secrets.token_urlsafe(18))
    owner: str = field(default_factory=lambda: secrets.token_urlsafe(18))
    database: str = field(default_factory=lambda: secrets.token_urlsafe(18))
    broker: str = field(default_factory=lambda: secrets.token_urlsafe(18))
    cookie: str = field(default_factory=lambda: secrets.token_hex(10).upper())
    django: str = field(default_factory=lambda: secrets.token_urlsafe(48))
    exchange: str = field(default_factory=lambda: "whsec_" + secrets.token_hex(16) + "AAAA")


class Programs:
    """The programs of every node of one cluster."""

    def __init__(self, folder: Path, keys: Secrets, patroni: Path, postgresql: Path, listener: int) -> None:
        """
        Args:
            folder: the folder for data and logs.
            patroni: the folder of Patroni's programs.
            postgresql: the folder of PostgreSQL's programs.
            listener: the descriptor of a listening socket that makes the balancer reachable from this machine.
        """
        self.folder, self.keys = folder, keys
        self._patroni, self._postgresql, self._listener = patroni, postgresql, listener

    def of(self, node: Node) -> list[Program]:
        """Return the programs of this node, in starting order."""
        if node.kind == "db":
            return [self._etcd(node), self._patroni_on(node)]
        if node.kind == "mq":
            return [self._rabbitmq(node)]
        if node.kind == "cache":
            return [self._valkey(node)]
        if node.kind == "lb":
            return [self._haproxy(node)]
        if node.kind == "ex":
            return [Program("exchange", self._run("exchange"), self._exchange_environment(node))]
        if node.kind in PROCESSES:
            return [Program(PROCESSES[node.kind], self._run(PROCESSES[node.kind]), self.brokerage_environment(node))]
        return []

    def data(self, node: Node) -> Path:
        """Return a node's data folder, creating it if necessary."""
        path = self.folder / "data" / node.name
        path.mkdir(parents=True, exist_ok=True)
        return path

    @property
    def database_url(self) -> str:
        """The URL for the application's processes."""
        return self._database("brokerage_runtime", self.keys.database)

    @property
    def owner_url(self) -> str:
        """The URL for `migrate`."""
        return self._database("brokerage", self.keys.owner)

    def _database(self, role: str, password: str) -> str:
        return f"postgres://{role}:{password}@{addresses('db', 5432)}/brokerage?target_session_attrs=read-write"

    @property
    def broker_url(self) -> str:
        return ";".join(f"amqp://brokerage:{self.keys.broker}@{node.name}:5672//" for node in of_kind("mq"))

    def brokerage_environment(self, node: Node) -> dict[str, str]:
        """Return the settings of one of our processes; deploy/.env.example explains each."""
        return {
            "PATH": f"{PROJECT / '.venv/bin'}:{SYSTEM_PATH}",
            "HOME": str(self.data(node)),
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
            "PROCESS_NAME": node.name,
            "DATA_DIR": str(self.data(node)),
            "BIND": "0.0.0.0",  # noqa: S104  # nosec B104 — inside the node's namespace
            "PORT": str(PORT),
            "STREAM_PORT": str(STREAM_PORT),
            "HEALTH_PORT": str(HEALTH_PORT),
            "DATABASE_URL": self.database_url,
            "BROKER_URL": self.broker_url,
            "CACHE_URL": "redis://cache:6379/0",
            "LANES": "16",
            "EXCHANGE_URL": f"http://ex:{EXCHANGE_PORT}",
            "EXCHANGE_SECRET": self.keys.exchange,
            "CALLBACK_URL": f"http://lb:{PORT}/exchange/callbacks",
            "STREAM_URL": f"http://lb:{PORT}",
            "SECRET_KEY": self.keys.django,
            "ALLOWED_HOSTS": ",".join(["127.0.0.1", "localhost", *NODES, *(node.address for node in NODES.values())]),
            "NUM_PROXIES": "1",
            "TRUSTED_PROXY_COUNT": "1",
            "WEBHOOKS_TO_PRIVATE_ADDRESSES": "true",
            "DEMO": "true",
            "LOG_FORMAT": "json",
        }

    def manage(self, *arguments: str, **more: str) -> tuple[list[str], dict[str, str]]:
        """Return a manage.py command and its environment."""
        environment = self.brokerage_environment(NODES["cl"])
        environment |= {"PROCESS_NAME": arguments[0], "MIGRATE_DATABASE_URL": self.owner_url, **more}
        return [str(PROJECT / ".venv/bin/python"), "manage.py", *arguments], environment

    def _run(self, kind: str) -> list[str]:
        return [str(PROJECT / "deploy/run"), kind]

    def _etcd(self, node: Node) -> Program:
        peers = ",".join(f"{peer.name}=http://{peer.address}:2380" for peer in of_kind("db"))
        started = self.data(node) / "etcd" / "member"
        values = {
            "ETCD_NAME": node.name,
            "ETCD_DATA_DIR": str(self.data(node) / "etcd"),
            "ETCD_LISTEN_PEER_URLS": f"http://{node.address}:2380",
            "ETCD_INITIAL_ADVERTISE_PEER_URLS": f"http://{node.address}:2380",
            "ETCD_LISTEN_CLIENT_URLS": f"http://{node.address}:2379",
            "ETCD_ADVERTISE_CLIENT_URLS": f"http://{node.address}:2379",
            "ETCD_INITIAL_CLUSTER": peers,
            "ETCD_INITIAL_CLUSTER_STATE": "existing" if started.exists() else "new",
        }
        return Program("etcd", [program("etcd")], _from("etcd.env.example", values))

    def _patroni_on(self, node: Node) -> Program:
        data, keys = self.data(node), self.keys
        _chown(data, DATABASE_USER)
        values = {
            "PATRONI_NAME": node.name,
            "PATRONI_RESTAPI_LISTEN": f"{node.address}:8008",
            "PATRONI_RESTAPI_CONNECT_ADDRESS": f"{node.address}:8008",
            "PATRONI_ETCD3_HOSTS": ",".join(f"'{peer.address}:2379'" for peer in of_kind("db")),
            "PATRONI_POSTGRESQL_LISTEN": f"{node.address}:5432",
            "PATRONI_POSTGRESQL_CONNECT_ADDRESS": f"{node.address}:5432",
            "PATRONI_POSTGRESQL_DATA_DIR": str(data / "postgres"),
            "PATRONI_POSTGRESQL_BIN_DIR": str(self._postgresql),
            "PATRONI_POSTGRESQL_PGPASS": str(data / "pgpass"),
            "PATRONI_SUPERUSER_PASSWORD": keys.admin,
            "PATRONI_REPLICATION_PASSWORD": keys.replication,
            "PATRONI_REWIND_PASSWORD": keys.rewind,
        }
        environment = _from("patroni.env.example", values) | {"HOME": str(data), "LC_ALL": "C.UTF-8"}
        environment |= _from("backup/backup.env.example", self._backup())
        command = [str(self._patroni / "patroni"), str(PROJECT / "deploy/patroni.yml")]
        return Program("patroni", command, environment, user=DATABASE_USER, leaves_children=True)

    def _backup(self) -> dict[str, str]:
        """Return the settings for WAL archiving, outside every node; generate the key on the first call."""
        folder = self.folder / "data/backup"
        identity = self.folder / "data/backup-identity"
        if not identity.exists():
            folder.mkdir(parents=True)
            _chown(folder, DATABASE_USER)
            subprocess.run([program("age-keygen"), "-o", str(identity)], check=True, capture_output=True)
        result = subprocess.run(
            [program("age-keygen"), "-y", str(identity)], check=True, capture_output=True, text=True
        )
        return {
            "BACKUP_DIR": str(folder),
            "BACKUP_RECIPIENT": result.stdout.strip(),
            "BACKUP_TOOLS": str(PROJECT / "deploy/backup"),
        }

    def _rabbitmq(self, node: Node) -> Program:
        data = self.data(node)
        (data / "plugins").write_text("[].\n")
        cookie = data / ".erlang.cookie"
        if not cookie.exists():
            cookie.write_text(self.keys.cookie)
            cookie.chmod(0o400)
        peers = [peer.name for peer in of_kind("mq") if peer != node]
        return Program(
            "rabbitmq",
            [str(RABBITMQ / "rabbitmq-server")],
            self.rabbitmq_environment(node),
            hangs=(sys.executable, str(PROJECT / "deploy/rabbitmq-hangs"), node.name, *peers),
        )

    def rabbitmq_environment(self, node: Node) -> dict[str, str]:
        """Return the environment of RabbitMQ and its command-line tools on a node."""
        data = self.data(node)
        return _from(
            "rabbitmq.env.example",
            {
                "RABBITMQ_NODENAME": f"rabbit@{node.name}",
                "RABBITMQ_CONFIG_FILE": str(PROJECT / "deploy/rabbitmq"),
                "RABBITMQ_DEFAULT_PASS": self.keys.broker,
            },
        ) | {
            "HOME": str(data),
            "LANG": "C.UTF-8",
            "RABBITMQ_MNESIA_BASE": str(data / "mnesia"),
            "RABBITMQ_LOG_BASE": str(data / "log"),
            "RABBITMQ_PID_FILE": str(data / "pid"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(data / "plugins"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none",
        }

    def _valkey(self, node: Node) -> Program:
        command = [str(binary()), "--bind", node.address, "--protected-mode", "no", "--save", "", "--port", "6379"]
        return Program("valkey", command, {"PATH": SYSTEM_PATH})

    def _haproxy(self, node: Node) -> Program:
        values = {
            "PATH": SYSTEM_PATH,
            "LISTEN": f"{node.address}:{PORT},fd@{self._listener}",
            "CHECK_HOST": node.name,
            "INSIDE": f"{NETWORK} 127.0.0.0/8",
            "EXCHANGE": NODES["ex"].address,
            "STATS_SOCKET": str(self.data(node) / "admin.sock"),
            "RUN_USER": "root",
            "RUN_GROUP": "root",
            **{f"WEB_{number}": f"{peer.address}:{PORT}" for number, peer in enumerate(of_kind("web"), 1)},
            **{f"HEALTH_{number}": str(HEALTH_PORT) for number, _ in enumerate(of_kind("web"), 1)},
            **{f"STREAM_{number}": f"{peer.address}:{STREAM_PORT}" for number, peer in enumerate(of_kind("stream"), 1)},
        }
        command = [program("haproxy"), "-db", "-f", str(PROJECT / "deploy/haproxy.cfg")]
        return Program("haproxy", command, values, descriptors=(self._listener,))

    def _exchange_environment(self, node: Node) -> dict[str, str]:
        return {
            "PATH": f"{PROJECT / '.venv/bin'}:{SYSTEM_PATH}",
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
            "DATA_DIR": str(self.data(node)),
            "EXCHANGE_HOST": node.address,
            "EXCHANGE_PORT": str(EXCHANGE_PORT),
            "EXCHANGE_SECRET": self.keys.exchange,
            "EXCHANGE_HOURS": os.environ.get("EXCHANGE_HOURS") or "always",
        }


def make_database_user() -> None:
    """Create the system user that runs PostgreSQL. Idempotent: yes."""
    try:
        pwd.getpwnam(DATABASE_USER)
    except KeyError:
        subprocess.run(["useradd", "--system", "--no-create-home", DATABASE_USER], check=True)


def _chown(path: Path, user: str) -> None:
    account = pwd.getpwnam(user)
    os.chown(path, account.pw_uid, account.pw_gid)


def _from(example: str, values: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of an example file in `deploy/`, with this node's values.

    Raises ValueError for a value that the example lacks, so that the examples stay complete.
    """
    variables = {"PATH": SYSTEM_PATH}
    for line in (PROJECT / "deploy" / example).read_text().splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.partition("=")
            variables[name] = value
    if unknown := values.keys() - variables.keys():
        raise ValueError(f"deploy/{example} has no {', '.join(sorted(unknown))}")
    return variables | dict(values)
