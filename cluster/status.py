"""A live view of the nodes, PostgreSQL's roles and lag, the brokers, and which lane node serves how many lanes."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import defaultdict
from typing import Any

from cluster import network
from cluster.control import ask
from cluster.nodes import NODES, of_kind
from cluster.rabbitmq import active_consumers, rabbitmqctl
from cluster.up import folder

POLL_SECONDS = 2.0
LANES_POLL_SECONDS = 10.0
"""Less often, because each rabbitmqctl call starts an Erlang VM."""

FETCH_MEMBERS = """
import json, sys, urllib.request
members = {}
for address in sys.argv[1:]:
    try:
        members = json.load(urllib.request.urlopen(f"http://{address}:8008/cluster", timeout=1))
        break
    except Exception:
        continue
print(json.dumps(members))
"""


def status(*, once: bool) -> int:
    """Show the cluster's status until Ctrl-C, or once. Raises UserError."""
    lanes: dict[str, list[str]] = {}
    asked_at = float("-inf")
    try:
        while True:
            state = ask(folder(), do="state")
            if time.monotonic() - asked_at > LANES_POLL_SECONDS:
                lanes, asked_at = lane_leaders(state), time.monotonic()
            text = view(state, patroni_members(), lanes)
            if once or not sys.stdout.isatty():
                print(text)
                return 0
            print(f"\033[H\033[2J{text}\n\nCtrl-C ends this view.", flush=True)
            time.sleep(POLL_SECONDS)
    except KeyboardInterrupt:
        return 0


def view(state: dict[str, Any], members: dict[str, dict[str, Any]], lanes: dict[str, list[str]]) -> str:
    """Return the status table as text."""
    rows = [("node", "address", "is", "programs", "role")]
    for name, node in NODES.items():
        if name == "cl":
            continue
        host = state[name]
        state_name = "off" if not host["on"] else "cut off" if host["cut"] else "deaf" if host["deafTo"] else "on"
        programs = ", ".join(
            f"{program}{'' if facts['runs'] else ' (down)'}{' ×' + str(facts['starts']) if facts['starts'] > 1 else ''}"
            for program, facts in host["programs"].items()
        )
        rows.append((name, node.address, state_name, programs, _role(name, members, lanes)))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _role(name: str, members: dict[str, dict[str, Any]], lanes: dict[str, list[str]]) -> str:
    if member := members.get(name):
        lag = member.get("lag", 0)
        lag_text = "" if member["role"] == "leader" else f", lag {lag} bytes"
        return (
            f"{member['role'].replace('_', ' ')}, {member['state']}, timeline {member.get('timeline', '?')}{lag_text}"
        )
    if name.startswith("lane"):
        served = lanes.get(name, [])
        return f"serves {len(served)} lanes" if served else "stands by"
    if name.startswith("mq"):
        return f"leads {len(lanes.get(name, []))} lanes"
    return ""


def patroni_members() -> dict[str, dict[str, Any]]:
    """Return PostgreSQL's nodes by name, as Patroni reports them."""
    addresses = [node.address for node in of_kind("db")]
    result = subprocess.run(
        [*network.command("cl"), sys.executable, "-c", FETCH_MEMBERS, *addresses], capture_output=True, text=True
    )
    return {member["name"]: member for member in json.loads(result.stdout or "{}").get("members", [])}


def lane_leaders(state: dict[str, Any]) -> dict[str, list[str]]:
    """Return the queues that each broker node leads and that each lane node serves, by node."""
    queues_of: dict[str, list[str]] = defaultdict(list)
    environment = ask(folder(), do="facts")["rabbitmq"]
    for node in of_kind("mq"):
        if not state[node.name]["on"] or state[node.name]["cut"]:
            continue
        queues = rabbitmqctl(node.name, environment, "list_queues", "name", "leader")
        if queues is None:
            continue
        for queue in queues:
            if queue["name"].startswith("lane-"):
                queues_of[str(queue["leader"]).partition("@")[2]].append(queue["name"])
        for name, consumers in active_consumers(node.name, environment).items():
            for consumer in consumers:
                queues_of[consumer].append(name)
        break
    return queues_of
