"""Queries about the lanes' queues, answered by rabbitmqctl."""

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
    """Return the lane nodes that consume each lane's queue, as this broker node sees it."""
    hosts = {
        row["pid"]: _host(row["peer_host"])
        for row in rabbitmqctl(node, environment, "list_connections", "pid", "peer_host") or []
    }
    channels = {
        row["pid"]: hosts.get(row["connection"], "?")
        for row in rabbitmqctl(node, environment, "list_channels", "pid", "connection") or []
    }
    consumers: dict[str, list[str]] = defaultdict(list)
    for row in rabbitmqctl(node, environment, "list_consumers", "queue_name", "channel_pid", "active") or []:
        if row["active"] and row["queue_name"].startswith("lane-"):
            consumers[row["queue_name"]].append(channels.get(row["channel_pid"], "?"))
    return consumers


def online_members(node: str, environment: dict[str, str]) -> dict[str, int]:
    """Return how many broker nodes currently hold each lane's queue."""
    queues = rabbitmqctl(node, environment, "list_queues", "name", "online") or []
    return {queue["name"]: len(queue["online"]) for queue in queues if queue["name"].startswith("lane-")}


def _host(peer: Sequence[int]) -> str:
    """Return the node's name; an IPv4 address may come as the last two of eight IPv6 groups."""
    address = ".".join(
        map(str, peer if len(peer) == 4 else (part for group in peer[-2:] for part in divmod(group, 256)))
    )
    return next((node.name for node in NODES.values() if node.address == address), address)


def rabbitmqctl(node: str, environment: dict[str, str], *arguments: str) -> list[dict[str, Any]] | None:
    """Run rabbitmqctl on a broker node and return the list that it prints, or None if it fails."""
    result = subprocess.run(
        [*network.command(node), str(RABBITMQ / "rabbitmqctl"), "-q", "-t", "5", "--formatter", "json", *arguments],
        env=environment | {"RABBITMQ_NODENAME": f"rabbit@{node}"},
        capture_output=True,
        text=True,
    )
    try:
        return json.loads(result.stdout) if result.returncode == 0 else None
    except ValueError:
        return None
