"""Ports of the loopback address."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Collection

LOOPBACK = "127.0.0.1"
CANDIDATES = range(20_000, 32_000)
"""Below the ports that Linux and macOS use for outgoing connections, which could take a server's port while it
restarts."""
RELEASE_SECONDS_MAX = 2.0
"""A process that was killed holds its ports until it has ended, when its name and environment can't be read anymore."""


def host_of(bind: str) -> str:
    """Return the host, as URLs have it, by which this machine reaches servers that listen on the address `bind`."""
    match bind:
        case "" | "0.0.0.0":  # noqa: S104 # nosec B104
            return LOOPBACK
        case "::":
            return "[::1]"
    return f"[{bind}]" if ":" in bind else bind


def is_free(port: int) -> bool:
    """Return whether a server could listen on this port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def is_free_soon(port: int) -> bool:
    """Return whether a server can listen on this port within RELEASE_SECONDS_MAX."""
    deadline = time.monotonic() + RELEASE_SECONDS_MAX
    while not is_free(port):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def choose(count: int = 1, avoid: Collection[int] = ()) -> int:
    """Return the first of `count` consecutive ports that are free now. Raises OSError if there are none."""
    for _ in range(1000):
        first = random.choice(CANDIDATES)
        block = range(first, first + count)
        if not set(block) & set(avoid) and all(map(is_free, block)):
            return first
    raise OSError("no free port")
