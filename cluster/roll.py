"""A rolling upgrade: each of our processes stops cleanly and restarts, one node after the other.

What deploy/README.md tells an operator to do by hand or by systemd: a web or stream node is drained at the balancer
first, the next node waits until this one serves again.
"""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Callable
from typing import Any

from cluster.nodes import Node, of_kind
from cluster.programs import PORT, PROCESSES, STREAM_PORT

DRAIN_SECONDS_MAX = 15.0
START_SECONDS_MAX = 60.0
LOOK_SECONDS = 0.2


class Roll:
    """Rolls one kind of node after the other, from a thread inside the network; `ask` talks to the cluster."""

    def __init__(self, ask: Callable[..., Any], says: Callable[[str], None]) -> None:
        self._ask, self._says = ask, says
        self._balancer: str = ask(do="facts")["balancerSocket"]

    def all(self) -> None:
        """Roll every process. Raises TimeoutError where one does not come back."""
        for kind in ("lane", "sweep", "stream", "web"):
            for number, node in enumerate(of_kind(kind), 1):
                began = time.monotonic()
                if kind in {"stream", "web"}:
                    self._drain(kind, number)
                self._restart(node)
                if kind in {"stream", "web"}:
                    self._until(lambda node=node: serves(node), f"{node.name} serves")  # type: ignore[misc]
                    self._tell(f"set server {kind}/{kind}_{number} state ready")
                    self._until(lambda kind=kind, number=number: self._is_up(kind, number), "the balancer sees it")  # type: ignore[misc]
                else:
                    time.sleep(2.0)  # until it consumes
                self._says(f"{node.name} rolled in {time.monotonic() - began:.1f} s")

    def _drain(self, kind: str, number: int) -> None:
        """No new request goes there; those under way end. What lasts longer, a stream, is cut and resumes elsewhere."""
        self._tell(f"set server {kind}/{kind}_{number} state drain")
        if kind == "web":
            deadline = time.monotonic() + DRAIN_SECONDS_MAX
            while self._sessions(kind, number) and time.monotonic() < deadline:
                time.sleep(LOOK_SECONDS)

    def _restart(self, node: Node) -> None:
        program = PROCESSES[node.kind]
        before = self._ask(do="state")[node.name]["programs"][program]["starts"]
        self._ask(do="restart", node=node.name, program=program)
        self._until(
            lambda: self._ask(do="state")[node.name]["programs"][program]["starts"] > before, f"{node.name} ends"
        )

    def _sessions(self, kind: str, number: int) -> int:
        return int(self._row(kind, number)[4])

    def _is_up(self, kind: str, number: int) -> bool:
        return self._row(kind, number)[17].startswith("UP")

    def _row(self, kind: str, number: int) -> list[str]:
        for line in self._tell("show stat").splitlines():
            row = line.split(",")
            if row[:2] == [kind, f"{kind}_{number}"]:
                return row
        raise TimeoutError(f"the balancer knows no {kind}_{number}")

    def _tell(self, words: str) -> str:
        with socket.socket(socket.AF_UNIX) as there:
            there.settimeout(2)
            there.connect(self._balancer)
            there.sendall(words.encode() + b"\n")
            return there.makefile().read()

    def _until(self, holds: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + START_SECONDS_MAX
        while not holds():
            if time.monotonic() > deadline:
                raise TimeoutError(what)
            time.sleep(LOOK_SECONDS)


def serves(node: Node) -> bool:
    """Whether a web or stream node can do its work."""
    port, path = (PORT, "/readyz") if node.kind == "web" else (STREAM_PORT, "/healthz")
    connection = http.client.HTTPConnection(node.address, port, timeout=2)
    try:
        connection.request("GET", path, headers={"Host": node.name})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
