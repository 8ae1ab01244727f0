"""The hub reads the feed for all open streams of a process together.

Any number of streams costs one query every POLL_SECONDS, and no thread: each stream is a cursor in its customer's feed
and a coroutine that waits for what comes after it. A slow reader is not read for until it has read.
"""

import asyncio
import contextlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import structlog
from django.db import connection

from feed import reader
from feed.reader import Cursor, Event
from web.authentication import Grant, token_store

POLL_SECONDS = 0.2
EVENTS_A_READ_MAX = 200  # of one stream
GRANTS_CHECKED_SECONDS = 2.0  # how soon a stream ends whose token has ended

log = structlog.get_logger()


class Ended(Exception):
    """The stream's token was revoked, or has expired."""


class Stream:
    """One open stream: whose it is, where it has got to, and the events it waits for."""

    def __init__(self, grant: Grant, cursor: Cursor) -> None:
        self.grant_id, self.customer_id, self.cursor = grant.id, grant.customer_id, cursor
        self.waiting: asyncio.Future[list[Event]] | None = None


class Hub:
    """Reads for all open streams of this process, in a thread of its own."""

    def __init__(self) -> None:
        self._streams: set[Stream] = set()
        self._thread = ThreadPoolExecutor(1, "feed")
        self._poller: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def opened(self, stream: Stream) -> Iterator[None]:
        """Read for this stream while the context is open."""
        self._streams.add(stream)
        if self._poller is None or self._poller.done():
            self._poller = asyncio.get_running_loop().create_task(self._poll())
        try:
            yield
        finally:
            self._streams.discard(stream)

    async def next(self, stream: Stream, seconds_max: float) -> list[Event]:
        """Wait for the next events of a stream; an empty list after `seconds_max` of silence.

        Raises:
            Ended: The stream's token was revoked, or has expired.
        """
        stream.waiting = asyncio.get_running_loop().create_future()
        try:
            return await asyncio.wait_for(stream.waiting, seconds_max)
        except TimeoutError:
            return []
        finally:
            stream.waiting = None

    async def _poll(self) -> None:
        loop = asyncio.get_running_loop()
        checked_at = loop.time()
        while self._streams:
            waiting = [stream for stream in self._streams if stream.waiting]
            try:
                askers = [(stream.customer_id, stream.cursor) for stream in waiting]
                until, found = await loop.run_in_executor(self._thread, _read, askers)
                if loop.time() - checked_at > GRANTS_CHECKED_SECONDS:
                    grants = {stream.grant_id for stream in self._streams}
                    valid = await loop.run_in_executor(self._thread, _still_valid, grants)
                    self._end(stream for stream in list(self._streams) if stream.grant_id not in valid)
                    checked_at = loop.time()
            except Exception as error:  # noqa: BLE001 — the database may be back in the next round
                log.warning("streams: a round failed; the next follows", streams=len(self._streams), error=repr(error))
                await asyncio.sleep(1)
                continue
            full = False
            for stream, (_, asked), events in zip(waiting, askers, found, strict=True):
                if not events:
                    stream.cursor = max(asked, until)
                elif stream.waiting and not stream.waiting.done():
                    is_full = len(events) == EVENTS_A_READ_MAX
                    full = full or is_full
                    stream.cursor = events[-1].cursor if is_full else until
                    stream.waiting.set_result(events)
            await asyncio.sleep(0 if full else POLL_SECONDS)

    def _end(self, streams: Iterable[Stream]) -> None:
        for stream in streams:
            if stream.waiting and not stream.waiting.done():
                stream.waiting.set_exception(Ended())


def _read(askers: list[tuple[int, Cursor]]) -> tuple[Cursor, list[list[Event]]]:
    try:
        until = reader.now()
        behind = [number for number, (_, after) in enumerate(askers) if after < until]
        events = reader.read([askers[number] for number in behind], until, EVENTS_A_READ_MAX)
    except Exception:
        connection.close()
        raise
    found: list[list[Event]] = [[] for _ in askers]
    for number, mine in zip(behind, events, strict=True):
        found[number] = mine
    return until, found


def _still_valid(grant_ids: set[Any]) -> set[Any]:
    try:
        return token_store().valid_of(grant_ids)
    except Exception:
        connection.close()
        raise
