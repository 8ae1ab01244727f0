"""Checks, from inside the cluster's network, that every part is up and serving."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from cluster.nodes import NODES, Node, of_kind
from cluster.rabbitmq import active_consumers, online_members

POLL_SECONDS = 0.5


class Watch:
    """Health checks, made from the calling thread's namespace; `ask` sends requests to the cluster."""

    def __init__(self, ask: Callable[..., Any]) -> None:
        self._ask = ask
        self._facts = ask(do="facts")

    def members(self) -> list[dict[str, Any]]:
        """Return PostgreSQL's nodes as the leader's Patroni reports them, because others may report what was before.

        A node that was cut off may still report itself as the leader, so the leader is whoever holds the lock now. If
        there is none, any other's report is returned; if no Patroni answers, an empty list.
        """
        nodes = of_kind("db")
        leaders = [node for node in nodes if _ask_patroni(node, "/leader")[0] == HTTPStatus.OK]
        for node in leaders or nodes:
            status, body = _ask_patroni(node, "/cluster")
            if status == HTTPStatus.OK:
                members: list[dict[str, Any]] = json.loads(body)["members"]
                return members
        return []

    def primary(self) -> str:
        """Wait until there is a primary, and return its node's name."""
        while True:
            for member in self.members():
                if member["role"] == "leader" and member["state"] == "running":
                    return str(member["name"])
            time.sleep(POLL_SECONDS)

    def serving_lane(self) -> str | None:
        """Return the lane node that consumes the first lane's queue."""
        for node in of_kind("mq"):
            consumers = active_consumers(node.name, self._facts["rabbitmq"])
            if consumers:
                return consumers[min(consumers)][0]
        return None

    def missing(self) -> str:
        """Return a sentence about the first thing that is missing, or an empty string if nothing is."""
        state = self._ask(do="state")
        for name, host in state.items():
            if name != "cl" and (
                not host["on"] or host["cut"] or not all(facts["runs"] for facts in host["programs"].values())
            ):
                return f"{name} is not up"
        standbys = [
            member for member in self.members() if member["role"] == "quorum_standby" and member["state"] == "streaming"
        ]
        if len(standbys) != len(of_kind("db")) - 1:
            return f"{len(standbys)} standbys are in step"
        down = [name for name, status in self.balancer().items() if not status.startswith("UP")]
        if down or not self._can_connect("cache", 6379):
            return f"the balancer reports {', '.join(down)} as down" if down else "the cache is not up"
        members = online_members("mq1", self._facts["rabbitmq"])
        if not members or min(members.values()) < len(of_kind("mq")):
            return "RabbitMQ's queues lack members"
        return ""

    def wait_until_complete(self, seconds_max: float) -> str:
        """Wait until nothing is missing, but at most `seconds_max`; return what still is."""
        deadline = time.monotonic() + seconds_max
        while (missing := self.missing()) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        return missing

    def balancer(self) -> dict[str, str]:
        """Return the state, such as UP, of each server behind the balancer."""
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(2)
                connection.connect(self._facts["balancerSocket"])
                connection.sendall(b"show stat\n")
                lines = connection.makefile().read().splitlines()
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


def _ask_patroni(node: Node, path: str) -> tuple[int, bytes]:
    """Return the status and the body of an answer of a node's Patroni; the status is 0 if it gives none."""
    connection = http.client.HTTPConnection(node.address, 8008, timeout=1)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()
