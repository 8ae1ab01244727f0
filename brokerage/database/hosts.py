"""Find the host that can be written to among several, without waiting for hosts that have vanished.

`DATABASE_URL` may name several hosts with `target_session_attrs=read-write`. libpq tries them in order, and a host that
is cut off costs it two seconds or more for every connection. Here, the host that served last is tried first, and a host
that does not quickly accept a TCP connection is skipped. A process that has found no primary fails at once for a
moment, so that a door answers in time.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Mapping
from typing import Any

import psycopg
from psycopg import errors

from web.deadline import seconds_left

TCP_CONNECT_SECONDS_MAX = 0.5  # how long a host may take to accept a TCP connection
NO_HOST_SECONDS = 0.25  # how long a process that has found no primary does not look again

_served_last: dict[str, tuple[str, str]] = {}
_none_until: dict[str, float] = {}


class NoAnswer(errors.OperationalError, TimeoutError):
    """The server did not answer in time. Whether the statement took effect is unknown."""


class Connection(psycopg.Connection[Any]):
    """A connection that is given up if the server does not answer in time."""

    answer_seconds_max: float | None = None  # for everything; longer than the server lets a statement take
    commit_seconds_max: float | None = None  # for COMMIT, which may wait for a standby without limit at the server

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """Wait for an answer. If none comes in time, close the connection and raise NoAnswer."""
        try:
            return super().wait(gen, interval, seconds_left(self.answer_seconds_max if timeout is None else timeout))
        except errors._WaitTimeout:
            self.close()
            raise NoAnswer("The database did not answer in time, so the outcome is unknown.") from None

    def commit(self) -> None:
        """Commit. Raise NoAnswer if it is unknown whether the transaction was committed."""
        with self.lock:
            self.wait(self._commit_gen(), timeout=self.commit_seconds_max)


def connect(parameters: Mapping[str, Any]) -> Connection:
    """Open a connection. Raises OperationalError."""
    hosts = str(parameters.get("host") or "")
    if "," not in hosts:
        return Connection.connect(**parameters)
    if time.monotonic() < _none_until.get(hosts, 0.0):
        raise errors.OperationalError("No host of the database could be written to a moment ago.")
    reasons = []
    for host, port in _in_order(hosts, str(parameters.get("port") or 5432)):
        patience = seconds_left(TCP_CONNECT_SECONDS_MAX)
        if not patience:
            raise errors.OperationalError("The request has no time left to look for a host that can be written to.")
        try:
            socket.create_connection((host, int(port)), patience).close()
            connection = Connection.connect(**{**parameters, "host": host, "port": port})
        except (OSError, psycopg.OperationalError) as error:
            reasons.append(f"{host}: {str(error).strip().splitlines()[-1] if str(error).strip() else error!r}")
            continue
        _served_last[hosts] = host, port
        return connection
    _none_until[hosts] = time.monotonic() + NO_HOST_SECONDS
    raise errors.OperationalError(f"No host of the database can be written to: {'; '.join(reasons)}")


def forget() -> None:
    """Forget which hosts served last, and that none was found."""
    _served_last.clear()
    _none_until.clear()


def _in_order(hosts: str, ports: str) -> Iterator[tuple[str, str]]:
    """Yield the hosts with their ports, beginning with the one that served last."""
    names, numbers = hosts.split(","), ports.split(",")
    pairs = list(zip(names, numbers if len(numbers) == len(names) else numbers[:1] * len(names), strict=True))
    last = _served_last.get(hosts)
    yield from sorted(pairs, key=lambda pair: pair != last)
