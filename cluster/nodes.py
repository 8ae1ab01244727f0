"""The nodes, their kinds and their addresses."""

from __future__ import annotations

from dataclasses import dataclass

NETWORK = "10.77.0.0/24"


@dataclass(frozen=True)
class Node:
    """One host. `name` is also its hostname."""

    name: str
    kind: str
    address: str


def _nodes(kind: str, count: int, first: int) -> list[Node]:
    return [Node(f"{kind}{number}", kind, f"10.77.0.{first + number - 1}") for number in range(1, count + 1)]


NODES: dict[str, Node] = {
    node.name: node
    for node in [
        Node("lb", "lb", "10.77.0.2"),  # the balancer
        Node("ex", "ex", "10.77.0.3"),  # the stand-in exchange, which belongs to another company
        Node("cl", "cl", "10.77.0.4"),  # the customers' clients; health checks run here too
        Node("cache", "cache", "10.77.0.5"),
        *_nodes("db", 3, 11),
        *_nodes("mq", 3, 21),
        *_nodes("web", 3, 31),
        *_nodes("stream", 2, 36),
        *_nodes("lane", 3, 41),
        *_nodes("sweep", 2, 51),
    ]
}


def of_kind(kind: str) -> list[Node]:
    """Return the nodes of a kind, in order."""
    return [node for node in NODES.values() if node.kind == kind]


def addresses(kind: str, port: int) -> str:
    """Return the addresses of a kind, such as `db1:5432,db2:5432,db3:5432`."""
    return ",".join(f"{node.name}:{port}" for node in of_kind(kind))
