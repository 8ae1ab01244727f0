"""The brokerage, started by its own runner, with every connection going through a link that can have faults."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import threading
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from chaos.clocks import make_postgresql, with_clock
from chaos.plan import LINKS
from local import ports
from local.folder import Folder
from local.harness import Brokerage
from local.plan import PROJECT, read_procfile
from local.ports import LOOPBACK
from local.postgresql import PostgreSQL
from local.valkey import Valkey

SCALE = {"web": 2, "lanes": 3, "sweep": 2}
CLOCKS = ("web.1", "lanes.1", "sweep.1", "postgres")
"""The processes whose clock can be set; the others run without libfaketime."""

OPEN_ACCOUNTS = """
import json
from decimal import Decimal
from accounts import customers, funding, tokens
for n, cash in enumerate({cash}):
    customer = customers.create_customer(f"{name}-{{n}}@example.com", None)
    posting, _ = funding.deposit(customer.id, Decimal(cash))
    print(json.dumps([customer.id, tokens.issue(customer, "chaos").token, cash, str(posting.cause)]))
"""


class Site:
    """A context manager that runs one brokerage, with its proxy, on its own folder."""

    def __init__(self, folder: Path, scale: Mapping[str, int] = SCALE, env: Mapping[str, str] | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder.resolve()
        self.data = self.folder / "var"
        data_folder = Folder(self.data)
        keys = data_folder.keys()
        self.postgres = PostgreSQL(data_folder, keys, data_folder.port("postgres"))
        self.valkey = Valkey(data_folder, keys, data_folder.port("valkey"))
        self.postgres_admin_password = keys.postgres_admin_password
        self.brokerage = Brokerage(self.data, scale)
        first = ports.choose(len(LINKS), [self.postgres.port, self.valkey.port, self.brokerage.port])
        self.links = {name: first + offset for offset, name in enumerate(LINKS)}
        self.root = self.folder / "root"
        self._proxy: subprocess.Popen[bytes] | None = None
        self._talking = threading.Lock()
        self.brokerage.env |= {
            "PROCFILE": str(self._make_root()),
            "PYTHONPATH": str(make_postgresql(self.folder / "python", shlex.quote(str(self.clock("postgres"))))),
            "WEBHOOKS_TO_PRIVATE_ADDRESSES": "true",
            "CALLBACK_URL": f"{self.url_of('exchange-web')}/exchange/callbacks",
            "LOG_FORMAT": "text",
            "NO_COLOR": "1",
            **(env or {}),
        }

    def __enter__(self) -> Site:
        self._proxy = subprocess.Popen(
            [sys.executable, "-m", "chaos.proxy"], cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        try:
            for name, port in self.links.items():
                self._say(link=name, listen=port, targets=self._targets(name))
            self.brokerage.start()
        except BaseException:
            self._end_proxy()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.brokerage.stop()
        self._end_proxy()

    def _end_proxy(self) -> None:
        if self._proxy is not None and self._proxy.stdin is not None:
            self._proxy.kill()
            self._proxy.wait()

    # -- the network

    def url_of(self, link: str) -> str:
        return f"http://{LOOPBACK}:{self.links[link]}"

    def change_link(self, name: str, fault: str | None) -> None:
        """Set the fault of a link, or clear it (None)."""
        self._say(link=name, fault=fault)

    def cut_link(self, name: str) -> None:
        """Reset every connection of a link."""
        self._say(link=name, cut=True)

    def _say(self, **command: Any) -> None:
        assert self._proxy is not None
        assert self._proxy.stdin is not None
        assert self._proxy.stdout is not None
        with self._talking:
            self._proxy.stdin.write(json.dumps(command).encode() + b"\n")
            self._proxy.stdin.flush()
            self._proxy.stdout.readline()

    def _targets(self, link: str) -> list[int]:
        to = link.partition("-")[2]
        if to == "web":
            return [self.brokerage.port + offset for offset in range(self.brokerage.scale["web"])]
        return [
            {"postgres": self.postgres.port, "valkey": self.valkey.port, "exchange": self.brokerage.exchange_port}[to]
        ]

    # -- the processes' environment

    def _make_root(self) -> Path:
        """Create a folder like the project's, with a Procfile that sends each process through its own links."""
        self.root.mkdir(exist_ok=True)
        for path in PROJECT.iterdir():
            if path.name not in {"Procfile", "var"} and not (self.root / path.name).exists():
                (self.root / path.name).symlink_to(path)
        for name in CLOCKS:
            self.clock(name).write_text("+0\n")
        give_clock = with_clock('"$clock"')
        wrapper = self.folder / "with-clock"
        wrapper.write_text(
            "#!/bin/sh\n"
            f"# A process whose clock can be set has it in {self.folder}/clock.NAME, as an offset in seconds.\n"
            f'clock="{self.folder}/clock.$PROCESS_NAME"\n'
            f'[ -f "$clock" ] && {give_clock}\n'
            'exec "$@"\n'
        )
        wrapper.chmod(0o755)
        procfile = self.root / "Procfile"
        lines = []
        for kind, command in read_procfile(PROJECT / "Procfile").items():
            if kind == "exchange":
                lines.append(f"{kind}: {command}")
            elif kind in SCALE:
                commands = {
                    "DATABASE_URL": _with_port(self.postgres.url, self.links[f"{kind}-postgres"]),
                    "BROKER_URL": _with_port(self.valkey.url, self.links[f"{kind}-valkey"]),
                    "EXCHANGE_URL": self.url_of(f"{kind}-exchange"),
                }
                setting = " ".join(f"{name}={shlex.quote(value)}" for name, value in commands.items())
                lines.append(f"{kind}: env {setting} {shlex.quote(str(wrapper))} {command}")
        procfile.write_text("\n".join(lines) + "\n")
        return procfile

    def clock(self, process: str) -> Path:
        """Return the file that holds the offset of a process's clock, in seconds."""
        return self.folder / f"clock.{process}"


def open_accounts(brokerage: Brokerage, cash: list[Decimal], name: str = "chaos") -> list[dict[str, Any]]:
    """Create accounts with this much cash; return each one's `customer`, `token`, `cash` and `cause` (deposit id)."""
    code = OPEN_ACCOUNTS.format(cash=[str(amount) for amount in cash], name=name)
    result = brokerage.manage("shell", "--no-imports", "-c", code, timeout=300)
    if result.returncode != 0:
        raise RuntimeError(result.stderr)
    rows = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("[")]
    return [dict(zip(("customer", "token", "cash", "cause"), row, strict=True)) for row in rows]


def _with_port(url: str, port: int) -> str:
    parts = urlsplit(url)
    credentials = parts.netloc.rpartition("@")[0]
    return urlunsplit(parts._replace(netloc=f"{credentials}@{LOOPBACK}:{port}"))
