"""The network: one namespace per node, and one more for the bridge that connects them.

Nothing is created in the machine's own namespace. Namespaces have fixed names, so that the next cluster can remove what
a killed one left behind.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from cluster.errors import UserError
from cluster.nodes import NODES

PREFIX = os.environ.get("CLUSTER_PREFIX") or "brk"
BRIDGE = f"{PREFIX}-lan"
NAMESPACES = Path("/run/netns")
HOSTS = Path("/etc/netns")  # `ip netns exec` mounts the hosts file from here over /etc/hosts
CLONE_NEWNET = 0x40000000


def namespace(node: str) -> str:
    return f"{PREFIX}-{node}"


def up() -> None:
    """Create all namespaces and connect them. Raises UserError if this machine doesn't allow it."""
    if os.geteuid() != 0:
        raise UserError("Network namespaces need root: run `sudo make cluster`.")
    down()
    names = "127.0.0.1 localhost\n" + "".join(f"{node.address} {node.name}\n" for node in NODES.values())
    try:
        _ip("netns", "add", BRIDGE)
    except subprocess.CalledProcessError as error:
        raise UserError(f"This machine does not allow network namespaces: {error.stderr.strip()}") from None
    _ip("-n", BRIDGE, "link", "set", "lo", "up")
    _ip("-n", BRIDGE, "link", "add", "br0", "type", "bridge")
    _ip("-n", BRIDGE, "link", "set", "br0", "up")
    for node in NODES.values():
        name = namespace(node.name)
        _ip("netns", "add", name)
        _ip("-n", BRIDGE, "link", "add", node.name, "type", "veth", "peer", "name", "eth0", "netns", name)
        _ip("-n", BRIDGE, "link", "set", node.name, "master", "br0", "up")
        _ip("-n", name, "addr", "add", f"{node.address}/24", "dev", "eth0")
        _ip("-n", name, "link", "set", "eth0", "up")
        _ip("-n", name, "link", "set", "lo", "up")
        (HOSTS / name).mkdir(parents=True, exist_ok=True)
        (HOSTS / name / "hosts").write_text(names)


def down() -> None:
    """Kill all processes in the network and remove it. Idempotent: yes."""
    for name in [BRIDGE, *map(namespace, NODES)]:
        if (NAMESPACES / name).exists():
            kill_all(name.removeprefix(f"{PREFIX}-"))
            _ip("netns", "del", name)
        shutil.rmtree(HOSTS / name, ignore_errors=True)


def is_up() -> bool:
    return (NAMESPACES / namespace("cl")).exists()


@contextlib.contextmanager
def inside(node: str) -> Iterator[None]:
    """Move this thread, and threads that it starts in the meantime, into a node's namespace."""
    with open("/proc/self/ns/net") as own, open(NAMESPACES / namespace(node)) as other:
        _enter(other)
        try:
            yield
        finally:
            _enter(own)


def _enter(file: IO[str]) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(file.fileno(), CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def command(node: str) -> list[str]:
    """Return the prefix that makes a command run on a node."""
    return ["ip", "netns", "exec", namespace(node)]


def pids(node: str) -> list[int]:
    """Return the pids of a node's processes."""
    return [int(pid) for pid in _ip("netns", "pids", namespace(node)).split()]


def kill_all(node: str) -> None:
    """Kill every process of a node, including those that are started in the meantime."""
    while found := pids(node):
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.01)


def cut(node: str) -> None:
    """Disconnect the node from all others; its programs get no notice. Idempotent: yes."""
    _ip("-n", BRIDGE, "link", "set", node, "down")


def heal(node: str) -> None:
    """Reconnect the node. Idempotent: yes."""
    _ip("-n", BRIDGE, "link", "set", node, "up")


def block(node: str, other: str) -> None:
    """Drop all packets between these two nodes; the other nodes still reach both."""
    address = NODES[other].address
    rules = (
        "table inet cut {\n"
        f" chain incoming {{ type filter hook input priority 0; ip saddr {address} drop; }}\n"
        f" chain outgoing {{ type filter hook output priority 0; ip daddr {address} drop; }}\n"
        "}\n"
    )
    subprocess.run([*command(node), "nft", "-f", "-"], input=rules, text=True, check=True, capture_output=True)


def unblock(node: str) -> None:
    """Undo `block`. Idempotent: yes."""
    subprocess.run([*command(node), "nft", "delete", "table", "inet", "cut"], capture_output=True, check=False)


def _ip(*arguments: str) -> str:
    return subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True).stdout
