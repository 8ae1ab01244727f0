"""Find the host that can be written to among several, without waiting for hosts that have vanished.

`DATABASE_URL` may name several hosts with `target_session_attrs=read-write`. libpq tries them in order, and a host that
is cut off costs it two seconds or more for every connection. Here, the host that served last is tried first, and a host
that does not quickly answer a knock is skipped. While a process finds no primary, one of its threads looks for it, and
the others fail at once, so that a door answers in time.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import psycopg
from psycopg import errors

from web import patience
from web.http import lookup

KNOCK_SECONDS_MAX = 0.5  # how long a host may take to answer a knock
SILENT_SECONDS = 0.5  # after this long without an answer to a statement, a request knocks
NO_HOST_SECONDS = 0.25  # how long a process that has found no primary does not look again
# Asks whether the server encrypts with GSSAPI. Every server answers with a byte, and logs nothing if that was all.
KNOCK = struct.pack("!ii", 8, 80877104)

Database = tuple[Any, ...]

_served_last: dict[str, tuple[str, str]] = {}
_none_until: dict[Database, float] = {}
_looking: defaultdict[Database, threading.Lock] = defaultdict(threading.Lock)
_answered_at: dict[tuple[str, int], float] = {}


class NoAnswer(errors.OperationalError, TimeoutError):
    """The server did not answer in time. Whether the statement took effect is unknown."""


class NoHost(errors.OperationalError):
    """Every host was tried, and none could be written to."""


class Connection(psycopg.Connection[Any]):
    """A connection that is given up if the server does not answer in time."""

    answer_seconds_max: float | None = None  # for everything; longer than the server lets a statement take
    commit_seconds_max: float | None = None  # for COMMIT, which may wait for a standby without limit at the server

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """Wait for an answer. If none comes in time, close the connection and raise NoAnswer.

        A request's first wait in vain is different: a statement may take as long as usual while the server answers
        knocks, because it is at work, and ends early if it does not.
        """
        limit = self.answer_seconds_max if timeout is None else timeout
        try:
            if timeout is None and patience.is_whole():
                return self._wait_while_it_answers(gen, interval, limit)
            return super().wait(gen, interval, patience.seconds_left(limit))
        except errors._WaitTimeout:
            self.close()
            raise NoAnswer("The database did not answer in time, so the outcome is unknown.") from None

    def _wait_while_it_answers(self, gen: Any, interval: float, limit: float | None) -> Any:
        ends_at = time.monotonic() + (float("inf") if limit is None else limit)
        while True:
            try:
                return super().wait(gen, interval, min(SILENT_SECONDS, max(0.0, ends_at - time.monotonic())))
            except errors._WaitTimeout:
                if time.monotonic() >= ends_at:
                    raise
                if not self._answers_a_knock():
                    return super().wait(gen, interval, 0.0)  # the answer may have come meanwhile

    def _answers_a_knock(self) -> bool:
        address, port = self.info.hostaddr, self.info.port
        if not address:
            return True  # a socket of this machine
        if time.monotonic() - _answered_at.get((address, port), float("-inf")) < SILENT_SECONDS:
            return True  # to another thread
        try:
            _knock(address, port)
        except OSError:
            return False
        return True

    def commit(self) -> None:
        """Commit. Raise NoAnswer if it is unknown whether the transaction was committed."""
        with self.lock, patience.waiting():
            self.wait(self._commit_gen(), timeout=self.commit_seconds_max)


def connect(parameters: Mapping[str, Any]) -> Connection:
    """Open a connection. Raises OperationalError."""
    hosts = str(parameters.get("host") or "")
    if not hosts or hosts.startswith("/"):  # a socket of this machine
        return Connection.connect(**parameters)
    database = tuple(parameters.get(name) for name in ("host", "port", "dbname", "user"))
    none_until = _none_until.get(database)
    if none_until is not None and (time.monotonic() < none_until or not _looking[database].acquire(blocking=False)):
        raise errors.OperationalError("No host of the database could be written to a moment ago.")
    try:
        connection = _connect_to_first(hosts, parameters)
    except NoHost:
        _none_until[database] = time.monotonic() + NO_HOST_SECONDS
        raise
    finally:
        if none_until is not None:
            _looking[database].release()
    _none_until.pop(database, None)
    return connection


def forget() -> None:
    """Forget which hosts served last, and that none was found."""
    _served_last.clear()
    _none_until.clear()


def _connect_to_first(hosts: str, parameters: Mapping[str, Any]) -> Connection:
    reasons = []
    for host, port in _in_order(hosts, str(parameters.get("port") or 5432)):
        if patience.seconds_left(KNOCK_SECONDS_MAX) < KNOCK_SECONDS_MAX / 2:
            raise errors.OperationalError("The request has no time left to look for a host that can be written to.")
        try:
            with patience.waiting():
                address = _address_that_answers(host, int(port))
                connection = Connection.connect(**{**parameters, "host": host, "hostaddr": address, "port": port})
        except (OSError, psycopg.OperationalError) as error:
            reasons.append(f"{host}: {str(error).strip().splitlines()[-1] if str(error).strip() else error!r}")
            continue
        _served_last[hosts] = host, port
        return connection
    raise NoHost(f"No host of the database can be written to: {'; '.join(reasons)}")


def _in_order(hosts: str, ports: str) -> Iterator[tuple[str, str]]:
    """Yield the hosts with their ports, beginning with the one that served last."""
    names, numbers = hosts.split(","), ports.split(",")
    pairs = list(zip(names, numbers if len(numbers) == len(names) else numbers[:1] * len(names), strict=True))
    last = _served_last.get(hosts)
    yield from sorted(pairs, key=lambda pair: pair != last)


def _address_that_answers(host: str, port: int) -> str:
    """Return the first of a host's addresses that answers a knock. Raises OSError."""
    last: OSError = OSError("no address")
    for address in lookup(host, port, patience.seconds_left(KNOCK_SECONDS_MAX)):
        try:
            _knock(address, port)
        except OSError as error:
            last = error
            continue
        return address
    raise last


def _knock(address: str, port: int) -> None:
    """Wait for a sign of life from the server. Raises OSError."""
    ends_at = time.monotonic() + patience.seconds_left(KNOCK_SECONDS_MAX)
    with socket.create_connection((address, port), max(0.001, ends_at - time.monotonic())) as door:
        door.sendall(KNOCK)
        door.settimeout(max(0.001, ends_at - time.monotonic()))
        if not door.recv(1):
            raise ConnectionError("the server closed the connection")
    _answered_at[address, port] = time.monotonic()
