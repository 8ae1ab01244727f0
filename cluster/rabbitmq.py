"""What RabbitMQ's own tool says about the lanes' queues."""

from __future__ import annotations

import json
import subprocess
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from cluster import network
from cluster.nodes import NODES
from cluster.packages import RABBITMQ


def active_consumers(node: str, environment: dict[str, str]) -> dict[str, list[str]]:
    """Of each lane's queue the lane nodes that RabbitMQ hands messages to, as this broker node tells it."""
    where = {
        each["pid"]: _host(each["peer_host"])
        for each in rabbitmqctl(node, environment, "list_connections", "pid", "peer_host") or []
    }
    channels = {
        each["pid"]: where.get(each["connection"], "?")
        for each in rabbitmqctl(node, environment, "list_channels", "pid", "connection") or []
    }
    found: dict[str, list[str]] = defaultdict(list)
    for each in rabbitmqctl(node, environment, "list_consumers", "queue_name", "channel_pid", "active") or []:
        if each["active"] and each["queue_name"].startswith("lane-"):
            found[each["queue_name"]].append(channels.get(each["channel_pid"], "?"))
    return found


def online_members(node: str, environment: dict[str, str]) -> dict[str, int]:
    """Of each lane's queue how many broker nodes hold it just now."""
    told = rabbitmqctl(node, environment, "list_queues", "name", "online") or []
    return {each["name"]: len(each["online"]) for each in told if each["name"].startswith("lane-")}


def _host(peer: Sequence[int]) -> str:
    """The node at the other end; an IPv4 address comes as the last two of eight groups."""
    address = ".".join(map(str, peer if len(peer) == 4 else (part for g in peer[-2:] for part in divmod(g, 256))))
    return next((node.name for node in NODES.values() if node.address == address), address)


def rabbitmqctl(node: str, environment: dict[str, str], *arguments: str) -> list[dict[str, Any]] | None:
    """A list that a broker node's own tool prints; None where it does not answer."""
    done = subprocess.run(
        [*network.command(node), str(RABBITMQ / "rabbitmqctl"), "-q", "-t", "5", "--formatter", "json", *arguments],
        env=environment | {"RABBITMQ_NODENAME": f"rabbit@{node}"},
        capture_output=True,
        text=True,
    )
    try:
        return json.loads(done.stdout) if done.returncode == 0 else None
    except ValueError:
        return None
