"""Finds the processes that a fault can target, and whether they have begun their work."""

from __future__ import annotations

import contextlib
import socket

import psutil
import urllib3

from chaos.site import Site
from local.ports import LOOPBACK
from local.postgresql import DATABASE, RUNTIME


class NothingToBreak(Exception):
    """The target of a fault is already broken, or still restarting."""


class Processes:
    """The processes of a site."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._probe = urllib3.PoolManager(retries=False, timeout=1.0)

    def victims(self, target: str, number: float) -> list[psutil.Process]:
        """Return the processes of a target: a process with its descendants, one worker, or one PostgreSQL backend."""
        kind, _, part = target.partition(" ")
        mains = self.working(target)
        if not mains:
            raise NothingToBreak(target)
        main = mains[int(number * len(mains))]
        if not part:
            return [main] if kind == "supervisord" else [main, *main.children(recursive=True)]
        children = [child for child in main.children() if self._serves(child)]
        if not children:
            raise NothingToBreak(target)
        return [children[int(number * 7919) % len(children)]]

    def working(self, target: str) -> list[psutil.Process]:
        """Return the processes of a type that have begun their work."""
        kind, _, part = target.removesuffix(" and its data").partition(" ")
        running = self._site.brokerage.processes()
        names = sorted(name for name in running if name == kind or name.startswith(kind + "."))
        processes = []
        for name in names:
            with contextlib.suppress(psutil.Error):
                main = psutil.Process(running[name])
                if self.works(kind, name, main) and (not part or any(map(self._serves, main.children()))):
                    processes.append(main)
        return processes

    def works(self, kind: str, name: str, main: psutil.Process) -> bool:
        """Return whether this process has begun its work."""
        number = int(name.partition(".")[2] or 1) - 1
        if kind in {"lanes", "sweep"}:
            port = self._site.links[{"lanes": "lanes-valkey", "sweep": "sweep-postgres"}[kind]]
            return any(link.raddr and link.raddr.port == port for link in main.net_connections("tcp4"))
        ports = {
            "web": self._site.brokerage.port + number,
            "exchange": self._site.brokerage.exchange_port,
            "valkey": self._site.valkey.port,
            "postgres": self._site.postgres.port,
        }
        if kind not in ports:
            return True
        try:
            if kind in {"web", "exchange"}:
                return self._probe.request("GET", f"http://{LOOPBACK}:{ports[kind]}/healthz").status == 200
            socket.create_connection((LOOPBACK, ports[kind]), 0.5).close()
            return kind != "postgres" or self._site.postgres.is_ready()
        except (urllib3.exceptions.HTTPError, OSError):
            return False

    def _serves(self, child: psutil.Process) -> bool:
        try:
            command_line = " ".join(child.cmdline())
        except psutil.Error:
            return False
        if command_line.startswith("postgres:"):
            return f"{RUNTIME} {DATABASE}" in command_line
        return "resource_tracker" not in command_line
