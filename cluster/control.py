"""Controls a running cluster: JSON requests, one per line, over a socket in its folder."""

from __future__ import annotations

import json
import signal
import socket
import threading
from pathlib import Path
from typing import Any

from cluster.errors import UserError
from cluster.nodes import NODES
from cluster.supervision import Hosts

SOCKET = "control.sock"
FAULTS = ("kill", "power", "cut", "deaf", "end", "freeze")


def ask(folder: Path, **request: Any) -> Any:
    """Send a request to the cluster that runs on this folder, and return its answer. Raises UserError."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(60)
            connection.connect(str(folder / SOCKET))
            connection.sendall(json.dumps(request).encode() + b"\n")
            answer = json.loads(connection.makefile().readline())
    except (OSError, ValueError):
        raise UserError(f"No cluster is running on {folder}: start it with `make cluster`.") from None
    if "error" in answer:
        raise UserError(answer["error"])
    return answer["answer"]


class Control:
    """The server side of `ask`, with a thread for each caller."""

    def __init__(self, folder: Path, hosts: Hosts, facts: dict[str, Any]) -> None:
        """
        Args:
            facts: information about the cluster for callers, such as its addresses.
        """
        self._hosts, self._facts = hosts, facts
        path = folder / SOCKET
        path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        path.chmod(0o600)
        self._socket.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            line = connection.makefile().readline()
            try:
                answer = {"answer": self._do(json.loads(line))}
            except Exception as error:  # noqa: BLE001 — the caller gets the error
                answer = {"error": str(error) or repr(error)}
            connection.sendall(json.dumps(answer).encode() + b"\n")

    def _do(self, request: dict[str, Any]) -> Any:
        do, name = request.pop("do"), request.get("node")
        if do == "facts":
            return self._facts
        if do == "state":
            return self._hosts.state()
        if name not in NODES:
            raise UserError(f"There is no node {name}. The nodes are {', '.join(NODES)}.")
        return self._do_to_node(do, name, request)

    def _do_to_node(self, do: str, name: str, request: dict[str, Any]) -> Any:
        host = self._hosts[name]
        seconds = float(request.get("seconds") or 0)
        if do in {"boot", "heal", "shut_down"}:
            getattr(host, do)()
        elif do in {"kill", "power"}:
            host.kill(silently=do == "power")
            if seconds:
                self._hosts.schedule(seconds, host.boot)
        elif do == "cut":
            host.cut()
            if seconds:
                self._hosts.schedule(seconds, host.heal)
        elif do == "deaf":
            host.block(request["to"])
            if seconds:
                self._hosts.schedule(seconds, host.heal)
        elif do in {"end", "freeze", "restart"}:
            number = {"end": signal.SIGKILL, "freeze": signal.SIGSTOP, "restart": signal.SIGTERM}[do]
            if not host.send(request["program"], number):
                raise UserError(f"{name} doesn't run {request['program']}.")
            if do == "freeze":
                self._hosts.schedule(seconds or 10.0, lambda: host.send(request["program"], signal.SIGCONT))
        else:
            raise UserError(f"{do} is not one of {', '.join(FAULTS)}, boot, heal, shut_down, restart.")
        return None
