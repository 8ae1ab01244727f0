"""The hub reads the feed for all open streams of a process together.

Any number of streams costs one query every POLL_SECONDS, and no thread: each stream is a cursor in its customer's feed
and a coroutine that waits for what comes after it. An event is read and written out once for all streams that are at
the same place. A slow reader is not read for until it has read.

A connection is what a client has open: it counts against its address and, once it is signed in, against its customer;
and its grant is looked at again on a clock of its own, whatever the connection is doing.
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
EVENTS_A_READ_MAX = 200  # of one stream
GRANTS_CHECKED_SECONDS = 2.0  # how soon a connection ends whose token has ended
# Of this process. A customer's programs need few; an address may be that of a whole office.
CONNECTIONS_OF_A_CUSTOMER_MAX = 50
CONNECTIONS_OF_AN_ADDRESS_MAX = 200

Render = Callable[[Event], bytes]

log = structlog.get_logger()


class TooManyConnections(Exception):
    """The address, or the customer, has as many connections open as they may."""


@dataclass(frozen=True)
class Batch:
    """Events on their way to streams, in order, each as it goes over the wire."""

    events: list[tuple[Cursor, bytes]]

    @cached_property
    def content(self) -> bytes:
        """All of them, put together once for all streams."""
        return b"".join(content for _, content in self.events)


class Connection:
    """What one client has open. `ended` is set when it may not read any more."""

    def __init__(self, hub: "Hub", address: str) -> None:
        self._hub, self.address = hub, address
        self.grant: Grant | None = None
        self.ended = asyncio.Event()

    def admit(self, grant: Grant) -> None:
        """Count the connection against its customer, and watch its grant from now on.

        Raises:
            TooManyConnections: The customer has CONNECTIONS_OF_A_CUSTOMER_MAX open.
        """
        self._hub.admit(self, grant)

    @contextlib.contextmanager
    def stream(self, cursor: Cursor, render: Render) -> Iterator["Stream"]:
        """Read the customer's events after a place, for as long as the context is open."""
        if self.grant is None:
            raise RuntimeError("a connection streams only once it is admitted")
        with self._hub.reading(Stream(self.grant.customer_id, cursor, render)) as stream:
            yield stream


class Stream:
    """A place in a customer's feed, and what waits there."""

    def __init__(self, customer_id: int, cursor: Cursor, render: Render) -> None:
        self.customer_id, self.cursor, self.render = customer_id, cursor, render
        self.waiting: asyncio.Future[Batch | None] | None = None

    async def next(self, seconds_max: float) -> Batch | None:
        """Return the next events; None after `seconds_max` of silence, or when `wake` was called."""
        self.waiting = asyncio.get_running_loop().create_future()
        try:
            return await asyncio.wait_for(self.waiting, seconds_max)
        except TimeoutError:
            return None
        finally:
            self.waiting = None

    def wake(self) -> None:
        """Let `next` return now."""
        self.hand_over(None)

    def hand_over(self, batch: Batch | None) -> None:
        """Give the stream what it waits for, if it still waits."""
        if self.waiting and not self.waiting.done():
            self.waiting.set_result(batch)


class Hub:
    """Reads for all open streams of this process, in a thread of its own, and looks at their grants in another."""

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
        """Sign a connection in; see `Connection.admit`."""
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
            places: dict[tuple[int, Cursor], list[Stream]] = {}
            for stream in self._streams:
                if stream.waiting:
                    places.setdefault((stream.customer_id, stream.cursor), []).append(stream)
            asked = [(place, {stream.render for stream in streams}) for place, streams in places.items()]
            try:
                until, found = await loop.run_in_executor(self._feed_thread, _read, asked)
            except Exception as error:  # noqa: BLE001 — the database may be back in the next round
                log.warning("streams: a round failed; the next follows", streams=len(self._streams), error=repr(error))
                await asyncio.sleep(1)
                continue
            full = False
            for ((_, cursor), streams), batches in zip(places.items(), found, strict=True):
                full = _hand_over(streams, batches, max(cursor, until)) or full
            await asyncio.sleep(0 if full else POLL_SECONDS)

    async def _check_grants(self) -> None:
        loop = asyncio.get_running_loop()
        while grants := {connection.grant.id for connection in self._connections if connection.grant}:
            try:
                valid = await loop.run_in_executor(self._grants_thread, still_valid, grants)
            except Exception as error:  # noqa: BLE001 — asked again soon
                log.warning("streams: grants could not be checked; they will be soon", error=repr(error))
            else:
                for connection in self._connections:
                    if connection.grant and connection.grant.id in grants - valid:
                        connection.ended.set()
            await asyncio.sleep(GRANTS_CHECKED_SECONDS)


def _hand_over(streams: list[Stream], batches: dict[Render, Batch], until: Cursor) -> bool:
    """Give streams that are at one place what was found there; return whether there may be more at once."""
    is_full = False
    for stream in streams:
        batch = batches.get(stream.render)
        if batch is None:
            stream.cursor = until
        elif stream.waiting and not stream.waiting.done():
            is_full = len(batch.events) == EVENTS_A_READ_MAX
            stream.cursor = batch.events[-1][0] if is_full else until
            stream.hand_over(batch)
    return is_full


def _read(asked: list[tuple[tuple[int, Cursor], set[Render]]]) -> tuple[Cursor, list[dict[Render, Batch]]]:
    """Read and write out what comes after each place, each event once; return up to where, and what was found."""
    try:
        until = reader.now()
        behind = [number for number, ((_, after), _) in enumerate(asked) if after < until]
        events = reader.read([asked[number][0] for number in behind], until, EVENTS_A_READ_MAX)
    except Exception:
        database.close()
        raise
    written: dict[tuple[Render, str], bytes] = {}
    found: list[dict[Render, Batch]] = [{} for _ in asked]
    for number, mine in zip(behind, events, strict=True):
        if not mine:
            continue
        for render in asked[number][1]:
            for event in mine:
                if (render, event.id) not in written:
                    written[render, event.id] = render(event)
            found[number][render] = Batch([(event.cursor, written[render, event.id]) for event in mine])
    return until, found


def still_valid(grant_ids: Collection[Any]) -> set[Any]:
    """Return which of these grants still work, asked of the database in this thread."""
    sessions = {grant_id for grant_id in grant_ids if isinstance(grant_id, int)}  # those of pages
    try:
        tokens: set[Any] = token_store().valid_of(set(grant_ids) - sessions)
        return tokens | page_tickets.valid_of(sessions)
    except Exception:
        database.close()
        raise
