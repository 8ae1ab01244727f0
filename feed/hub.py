"""The hub: one reader of the feed for all open streams of a process.

Any number of streams costs one query every POLL_SECONDS and no thread: each stream is a cursor in its customer's feed
and a coroutine that waits for later events. An event is read and rendered only once for all streams at the same cursor.
No events are read for a slow client until it has received the previous ones. However many streams a customer has, and
however far they are behind, a read takes at most EVENTS_OF_A_CUSTOMER_MAX of the customer's events, so that nobody else
waits for the rest.

Each client connection counts against its address and, once it is authenticated, against its customer. Its grant is
checked again periodically, whatever the connection is doing.
"""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import structlog
from django.db import connection as database

from accounts import page_tickets
from feed import reader
from feed.reader import Cursor, Event
from web.authentication import Grant, token_store

POLL_SECONDS = 0.2
CATCH_UP_SECONDS = 0.05  # the pause before the next read while a stream is behind
EVENTS_OF_A_CUSTOMER_MAX = 50  # in one read; the customer's streams share them
GRANTS_CHECKED_SECONDS = 2.0  # how often grants are checked: a revoked token's connection ends this soon
# For each process. A customer's programs need few; an address may be shared by a whole office.
CONNECTIONS_OF_A_CUSTOMER_MAX = 50
CONNECTIONS_OF_AN_ADDRESS_MAX = 200

Render = Callable[[Event], bytes]

log = structlog.get_logger()


class TooManyConnections(Exception):
    """The address or the customer has reached the maximum number of open connections."""


@dataclass(frozen=True)
class Batch:
    """Events for a stream, in order: the cursor and the rendered content of each."""

    events: list[tuple[Cursor, bytes]]
    may_be_more: bool

    @cached_property
    def content(self) -> bytes:
        """The content of all events, joined once for all streams."""
        return b"".join(content for _, content in self.events)


class Connection:
    """A client's open connection. `ended` is set when its grant is no longer valid."""

    def __init__(self, hub: "Hub", address: str) -> None:
        self._hub, self.address = hub, address
        self.grant: Grant | None = None
        self.ended = asyncio.Event()

    def admit(self, grant: Grant) -> None:
        """Count the connection against its customer, and check its grant from now on.

        Raises:
            TooManyConnections: The customer has CONNECTIONS_OF_A_CUSTOMER_MAX open.
        """
        self._hub.admit(self, grant)

    @contextlib.contextmanager
    def stream(self, cursor: Cursor, render: Render) -> Iterator["Stream"]:
        """Read the customer's events after a cursor while the context is open."""
        if self.grant is None:
            raise RuntimeError("a connection streams only once it is admitted")
        with self._hub.reading(Stream(self.grant.customer_id, cursor, render)) as stream:
            yield stream


class Stream:
    """A cursor in a customer's feed, and the coroutine that waits for the next events."""

    def __init__(self, customer_id: int, cursor: Cursor, render: Render) -> None:
        self.customer_id, self.cursor, self.render = customer_id, cursor, render
        self.waiting: asyncio.Future[Batch | None] | None = None

    async def next(self, seconds_max: float) -> Batch | None:
        """Return the next events; None after `seconds_max` without events, or when `wake` was called."""
        self.waiting = waiting = asyncio.get_running_loop().create_future()
        try:
            # Not `wait_for`, which discards events that are delivered as the time runs out.
            await asyncio.wait([waiting], timeout=seconds_max)
            return waiting.result() if waiting.done() else None
        finally:
            self.waiting = None

    def wake(self) -> None:
        """Make `next` return now."""
        self.deliver(None)

    def deliver(self, batch: Batch | None) -> None:
        """Give the stream its events, if it is still waiting."""
        if self.waiting and not self.waiting.done():
            self.waiting.set_result(batch)


class Hub:
    """Reads for all open streams of this process in one thread, and checks their grants in another."""

    def __init__(self) -> None:
        self._connections: set[Connection] = set()
        self._streams: set[Stream] = set()
        self._feed_thread, self._grants_thread = ThreadPoolExecutor(1, "feed"), ThreadPoolExecutor(1, "grants")
        self._loops: dict[Callable[[], Any], asyncio.Task[None]] = {}

    @contextlib.contextmanager
    def connection(self, address: str) -> Iterator[Connection]:
        """Count a connection from an address while the context is open.

        Raises:
            TooManyConnections: The address has CONNECTIONS_OF_AN_ADDRESS_MAX open.
        """
        if sum(other.address == address for other in self._connections) >= CONNECTIONS_OF_AN_ADDRESS_MAX:
            raise TooManyConnections
        connection = Connection(self, address)
        self._connections.add(connection)
        try:
            yield connection
        finally:
            self._connections.discard(connection)

    def admit(self, connection: Connection, grant: Grant) -> None:
        """Admit a connection; see `Connection.admit`."""
        customers = [other.grant.customer_id for other in self._connections if other.grant]
        if customers.count(grant.customer_id) >= CONNECTIONS_OF_A_CUSTOMER_MAX:
            raise TooManyConnections
        connection.grant = grant
        self._keep_running(self._check_grants)

    @contextlib.contextmanager
    def reading(self, stream: Stream) -> Iterator[Stream]:
        """Read for a stream while the context is open."""
        self._streams.add(stream)
        self._keep_running(self._poll)
        try:
            yield stream
        finally:
            self._streams.discard(stream)

    def close(self) -> None:
        """Close the threads and their connections to the database."""
        for thread in (self._feed_thread, self._grants_thread):
            thread.submit(lambda: database.close()).result()  # that thread's own connection
            thread.shutdown()

    def _keep_running(self, work: Callable[[], Any]) -> None:
        if work not in self._loops or self._loops[work].done():
            self._loops[work] = asyncio.get_running_loop().create_task(work())

    async def _poll(self) -> None:
        loop = asyncio.get_running_loop()
        while self._streams:
            streams_by_start: dict[tuple[int, Cursor], list[Stream]] = {}
            for stream in self._streams:
                if stream.waiting:
                    streams_by_start.setdefault((stream.customer_id, stream.cursor), []).append(stream)
            requests = [(start, {stream.render for stream in streams}) for start, streams in streams_by_start.items()]
            try:
                until, results = await loop.run_in_executor(self._feed_thread, _read, requests)
            except Exception as error:  # noqa: BLE001 — the database may be back at the next poll
                log.warning("streams: reading the feed failed; retrying", streams=len(self._streams), error=repr(error))
                await asyncio.sleep(1)
                continue
            is_behind = False
            for ((_, cursor), streams), batches in zip(streams_by_start.items(), results, strict=True):
                is_behind = _deliver(streams, batches, max(cursor, until)) or is_behind
            await asyncio.sleep(CATCH_UP_SECONDS if is_behind else POLL_SECONDS)

    async def _check_grants(self) -> None:
        loop = asyncio.get_running_loop()
        while grants := {connection.grant.id for connection in self._connections if connection.grant}:
            try:
                valid = await loop.run_in_executor(self._grants_thread, still_valid, grants)
            except Exception as error:  # noqa: BLE001 — the next check follows soon
                log.warning("streams: checking the grants failed; retrying", error=repr(error))
            else:
                for connection in self._connections:
                    if connection.grant and connection.grant.id in grants - valid:
                        connection.ended.set()
            await asyncio.sleep(GRANTS_CHECKED_SECONDS)


def _deliver(streams: list[Stream], batches: dict[Render, Batch], until: Cursor) -> bool:
    """Give the events to all streams at one cursor; return whether more events may be waiting already."""
    is_behind = False
    for stream in streams:
        batch = batches.get(stream.render)
        if batch is None:
            stream.cursor = until
        elif stream.waiting and not stream.waiting.done():
            is_behind = batch.may_be_more
            stream.cursor = batch.events[-1][0] if is_behind else until
            stream.deliver(batch)
    return is_behind


def _read(requests: list[tuple[tuple[int, Cursor], set[Render]]]) -> tuple[Cursor, list[dict[Render, Batch]]]:
    """Read the events after each start, and render each event once.

    Returns:
        The cursor up to which everything was read, and the batches for each request.
    """
    try:
        until = reader.latest_cursor()
        behind = [number for number, ((_, after), _) in enumerate(requests) if after < until]
        portions = reader.read([requests[number][0] for number in behind], until, EVENTS_OF_A_CUSTOMER_MAX)
    except Exception:
        database.close()
        raise
    rendered: dict[tuple[Render, str], bytes] = {}
    results: list[dict[Render, Batch]] = [{} for _ in requests]
    for number, portion in zip(behind, portions, strict=True):
        if not portion:
            continue
        for render in requests[number][1]:
            for event in portion:
                if (render, event.id) not in rendered:
                    rendered[render, event.id] = render(event)
            contents = [(event.cursor, rendered[render, event.id]) for event in portion]
            results[number][render] = Batch(contents, portion.may_be_more)
    return until, results


def still_valid(grant_ids: Collection[Any]) -> set[Any]:
    """Return those of these grants that are still valid. It reads the database in the calling thread."""
    sessions = {grant_id for grant_id in grant_ids if isinstance(grant_id, int)}  # the grants of pages
    try:
        tokens: set[Any] = token_store().valid_of(set(grant_ids) - sessions)
        return tokens | page_tickets.valid_of(sessions)
    except Exception:
        database.close()
        raise
