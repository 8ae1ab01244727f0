"""A rolling upgrade: restarts the application's processes cleanly, one node at a time.

This is the procedure that docs/how-to/upgrade.md describes: a web or stream node is drained at the balancer first, and
the next node is restarted only once this one serves again.
"""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Callable
from typing import Any

from cluster.nodes import Node, of_kind
from cluster.programs import HEALTH_PORT, PROCESSES, STREAM_PORT

DRAIN_SECONDS_MAX = 15.0
START_SECONDS_MAX = 60.0
POLL_SECONDS = 0.2


class Roll:
    """A rolling restart of the cluster, run from a thread inside the network; `ask` sends requests to the cluster."""

    def __init__(self, ask: Callable[..., Any], say: Callable[[str], None]) -> None:
        self._ask, self._say = ask, say
        self._balancer: str = ask(do="facts")["balancerSocket"]

    def all(self) -> None:
        """Restart every process. Raises TimeoutError if one doesn't come back."""
        for kind in ("lane", "sweep", "stream", "web"):
            for number, node in enumerate(of_kind(kind), 1):
                began = time.monotonic()
                if kind in {"stream", "web"}:
                    self._drain(kind, number)
                self._restart(node)
                if kind in {"stream", "web"}:
                    self._wait_until(lambda node=node: serves(node), f"{node.name} serves")  # type: ignore[misc]
                    self._balancer_command(f"set server {kind}/{kind}_{number} state ready")
                    self._wait_until(lambda kind=kind, number=number: self._is_up(kind, number), "the balancer sees it")  # type: ignore[misc]
                else:
                    time.sleep(2.0)  # until it consumes its queues again
                self._say(f"{node.name} rolled in {time.monotonic() - began:.1f} s")

    def _drain(self, kind: str, number: int) -> None:
        """Send the node no new requests and let current ones finish; event streams are cut and resume elsewhere."""
        self._balancer_command(f"set server {kind}/{kind}_{number} state drain")
        if kind == "web":
            deadline = time.monotonic() + DRAIN_SECONDS_MAX
            while self._sessions(kind, number) and time.monotonic() < deadline:
                time.sleep(POLL_SECONDS)

    def _restart(self, node: Node) -> None:
        program = PROCESSES[node.kind]
        before = self._ask(do="state")[node.name]["programs"][program]["starts"]
        self._ask(do="restart", node=node.name, program=program)
        self._wait_until(
            lambda: self._ask(do="state")[node.name]["programs"][program]["starts"] > before, f"{node.name} ends"
        )

    def _sessions(self, kind: str, number: int) -> int:
        return int(self._row(kind, number)[4])

    def _is_up(self, kind: str, number: int) -> bool:
        return self._row(kind, number)[17].startswith("UP")

    def _row(self, kind: str, number: int) -> list[str]:
        for line in self._balancer_command("show stat").splitlines():
            row = line.split(",")
            if row[:2] == [kind, f"{kind}_{number}"]:
                return row
        raise TimeoutError(f"the balancer doesn't know {kind}_{number}")

    def _balancer_command(self, command: str) -> str:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(2)
            connection.connect(self._balancer)
            connection.sendall(command.encode() + b"\n")
            return connection.makefile().read()

    def _wait_until(self, holds: Callable[[], bool], condition: str) -> None:
        deadline = time.monotonic() + START_SECONDS_MAX
        while not holds():
            if time.monotonic() > deadline:
                raise TimeoutError(condition)
            time.sleep(POLL_SECONDS)


def serves(node: Node) -> bool:
    """Return whether a web or stream node is ready for requests."""
    port, path = (HEALTH_PORT, "/readyz") if node.kind == "web" else (STREAM_PORT, "/healthz")
    connection = http.client.HTTPConnection(node.address, port, timeout=2)
    try:
        connection.request("GET", path, headers={"Host": node.name})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
