"""Whether every part of the cluster is there and serves, seen from inside its network."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Callable
from typing import Any

from cluster.nodes import NODES, of_kind
from cluster.rabbitmq import active_consumers, online_members

LOOK_SECONDS = 0.5


class Watch:
    """Looks from the thread's namespace; `ask` tells the state of hosts and the cluster's facts."""

    def __init__(self, ask: Callable[..., Any]) -> None:
        self._ask = ask
        self._facts = ask(do="facts")

    def members(self) -> list[dict[str, Any]]:
        """PostgreSQL's nodes as Patroni tells them; none where no Patroni answers."""
        for node in of_kind("db"):
            connection = http.client.HTTPConnection(node.address, 8008, timeout=1)
            try:
                connection.request("GET", "/cluster")
                found: list[dict[str, Any]] = json.loads(connection.getresponse().read())["members"]
                return found
            except (OSError, ValueError, KeyError, http.client.HTTPException):
                continue
            finally:
                connection.close()
        return []

    def primary(self) -> str:
        """The primary's node. Waits until there is one."""
        while True:
            for member in self.members():
                if member["role"] == "leader" and member["state"] == "running":
                    return str(member["name"])
            time.sleep(LOOK_SECONDS)

    def serving_lane(self) -> str | None:
        """The lane node that RabbitMQ hands the first lane's messages to."""
        for node in of_kind("mq"):
            found = active_consumers(node.name, self._facts["rabbitmq"])
            if found:
                return found[min(found)][0]
        return None

    def missing(self) -> str:
        """What is not there yet, in words; empty where everything is whole."""
        state = self._ask(do="state")
        for name, host in state.items():
            if name != "cl" and (
                not host["on"] or host["cut"] or not all(p["runs"] for p in host["programs"].values())
            ):
                return f"{name} is not up"
        standbys = [m for m in self.members() if m["role"] == "quorum_standby" and m["state"] == "streaming"]
        if len(standbys) != len(of_kind("db")) - 1:
            return f"{len(standbys)} standbys are in step"
        down = [name for name, status in self.balancer().items() if not status.startswith("UP")]
        if down or not self._can_connect("cache", 6379):
            return f"the balancer has {', '.join(down) or 'no cache'} down"
        members = online_members("mq1", self._facts["rabbitmq"])
        if not members or min(members.values()) < len(of_kind("mq")):
            return "RabbitMQ's queues lack members"
        return ""

    def wait_until_whole(self, seconds_max: float) -> str:
        """Wait until nothing is missing; what still is after so many seconds."""
        deadline = time.monotonic() + seconds_max
        while (what := self.missing()) and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS)
        return what

    def balancer(self) -> dict[str, str]:
        """Of each server behind the balancer its state, such as UP."""
        try:
            with socket.socket(socket.AF_UNIX) as there:
                there.settimeout(2)
                there.connect(self._facts["balancerSocket"])
                there.sendall(b"show stat\n")
                lines = there.makefile().read().splitlines()
        except OSError:
            return {"balancer": "DOWN"}
        rows = [line.split(",") for line in lines if line and not line.startswith("#")]
        return {row[1]: row[17] for row in rows if row[1] not in {"FRONTEND", "BACKEND"}}

    def _can_connect(self, node: str, port: int) -> bool:
        try:
            socket.create_connection((NODES[node].address, port), 1).close()
        except OSError:
            return False
        return True
