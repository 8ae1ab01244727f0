"""How a running cluster is told what to do: one JSON object a line, through a socket in its folder."""

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


def ask(folder: Path, **what: Any) -> Any:
    """Tell the cluster that runs on this folder to do something; returns its answer. Raises UserError."""
    try:
        with socket.socket(socket.AF_UNIX) as there:
            there.settimeout(60)
            there.connect(str(folder / SOCKET))
            there.sendall(json.dumps(what).encode() + b"\n")
            answer = json.loads(there.makefile().readline())
    except (OSError, ValueError):
        raise UserError(f"No cluster runs on {folder}: start it with `make cluster`.") from None
    if "error" in answer:
        raise UserError(answer["error"])
    return answer["answer"]


class Control:
    """Answers `ask`, each caller in a thread of its own."""

    def __init__(self, folder: Path, hosts: Hosts, facts: dict[str, Any]) -> None:
        """
        Args:
            facts: what callers may want to know of the cluster, such as its addresses.
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
            there, _ = self._socket.accept()
            threading.Thread(target=self._answer, args=(there,), daemon=True).start()

    def _answer(self, there: socket.socket) -> None:
        with there:
            line = there.makefile().readline()
            try:
                answer = {"answer": self._do(json.loads(line))}
            except Exception as error:  # noqa: BLE001 — the caller is told
                answer = {"error": str(error) or repr(error)}
            there.sendall(json.dumps(answer).encode() + b"\n")

    def _do(self, what: dict[str, Any]) -> Any:
        do, name = what.pop("do"), what.get("node")
        if do == "facts":
            return self._facts
        if do == "state":
            return self._hosts.state()
        if name not in NODES:
            raise UserError(f"There is no node {name}; there are {', '.join(NODES)}.")
        return self._do_to(do, name, what)

    def _do_to(self, do: str, name: str, what: dict[str, Any]) -> Any:
        host = self._hosts[name]
        seconds = float(what.get("seconds") or 0)
        if do in {"boot", "heal", "shut_down"}:
            getattr(host, do)()
        elif do in {"kill", "power"}:
            host.kill(silently=do == "power")
            if seconds:
                self._hosts.later(seconds, host.boot)
        elif do == "cut":
            host.cut()
            if seconds:
                self._hosts.later(seconds, host.heal)
        elif do == "deaf":
            host.deafen(what["to"])
            if seconds:
                self._hosts.later(seconds, host.heal)
        elif do in {"end", "freeze", "restart"}:
            number = {"end": signal.SIGKILL, "freeze": signal.SIGSTOP, "restart": signal.SIGTERM}[do]
            if not host.send(what["program"], number):
                raise UserError(f"{name} runs no {what['program']}.")
            if do == "freeze":
                self._hosts.later(seconds or 10.0, lambda: host.send(what["program"], signal.SIGCONT))
        else:
            raise UserError(f"{do} is not one of {', '.join(FAULTS)}, boot, heal, shut_down, restart.")
        return None
