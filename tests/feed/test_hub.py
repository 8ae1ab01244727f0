"""The hub reads events for all streams together, once and in order; no customer waits for another's history."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from accounts import tokens
from accounts.models import Customer
from accounts.tokens import Grant, Issued
from feed import hub, reader
from feed.hub import Hub
from feed.reader import Cursor, Event
from tests.feed.test_streams import ids_of, in_thread, place
from trades.place import place_trade

pytestmark = pytest.mark.django_db(transaction=True)
TokenOf = Callable[[Customer], Issued]


def grant_of(issued: Issued) -> Grant:
    grant = tokens.find(issued.token)
    assert grant is not None
    return grant


def test_an_event_is_rendered_once_for_all_streams_of_its_customer(bob: Customer, token_of: TokenOf) -> None:
    """1,000 streams with one token must not render an event 1,000 times."""
    rendered: list[str] = []

    def render(event: Event) -> bytes:
        rendered.append(event.id)
        return event.id.encode()

    async def read(stream_hub: Hub) -> list[list[bytes]]:
        async def follow(number: int) -> list[bytes]:
            with stream_hub.connection(f"192.0.2.{number}") as connection:
                connection.admit(grant)
                with connection.stream(start, render) as stream:
                    received: list[bytes] = []
                    while len(received) < 5:
                        batch = await stream.next(10)
                        received += [content for _, content in batch.events] if batch else []
                    return received

        readers = [asyncio.create_task(follow(number)) for number in range(40)]
        await asyncio.sleep(0.1)
        await place(bob, 5)
        return list(await asyncio.gather(*readers))

    grant, start, stream_hub = grant_of(token_of(bob)), reader.latest_cursor(), Hub()
    received = asyncio.run(read(stream_hub))
    stream_hub.close()
    assert received == [[event_id.encode() for event_id in ids_of(bob)]] * 40
    assert sorted(rendered) == ids_of(bob)


def test_a_read_returns_a_limited_number_of_events_per_customer(
    bob: Customer, token_of: TokenOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader that is far behind is served in batches, and gets every event once and in order."""
    monkeypatch.setattr(hub, "EVENTS_OF_A_CUSTOMER_MAX", 3)

    async def read() -> list[list[bytes]]:
        batches: list[list[bytes]] = []
        with stream_hub.connection("192.0.2.1") as connection:
            connection.admit(grant)
            with connection.stream(Cursor(0, 0), lambda event: event.id.encode()) as stream:
                while sum(map(len, batches)) < 10:
                    batch = await stream.next(10)
                    assert batch
                    batches.append([content for _, content in batch.events])
        return batches

    for _ in range(10):
        place_trade(bob.id, "AAPL", "BUY", 1)
    grant, stream_hub = grant_of(token_of(bob)), Hub()
    batches = asyncio.run(read())
    stream_hub.close()
    assert [len(contents) for contents in batches] == [3, 3, 3, 1]
    assert [content.decode() for contents in batches for content in contents] == ids_of(bob)


def test_many_streams_of_a_customer_share_the_limit_of_one_read(
    alice: Customer, bob: Customer, token_of: TokenOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bob's many streams read his history from different positions; Alice's event waits for one read at most."""
    monkeypatch.setattr(hub, "EVENTS_OF_A_CUSTOMER_MAX", 5)
    rendered: list[str] = []

    def render(event: Event) -> bytes:
        rendered.append(event.id)
        return event.id.encode()

    async def follow(grant: Any, start: Cursor, count: int) -> list[str]:
        with stream_hub.connection("192.0.2.1") as connection:
            connection.admit(grant)
            with connection.stream(start, render) as stream:
                received: list[str] = []
                while len(received) < count:
                    batch = await stream.next(10)
                    received += [content.decode() for _, content in batch.events] if batch else []
                return received

    async def scenario() -> None:
        starts = [Cursor.parse(event_id) for event_id in ids]
        behind = [asyncio.create_task(follow(bobs.grant, start, 20 - n)) for n, start in enumerate(starts[:-1], 1)]
        received = await follow(alices.grant, Cursor(0, 0), 1)
        assert len(rendered) == len(received) + 19, "one event for each of Bob's streams"
        assert received == await in_thread(ids_of, alice)
        for n, received in enumerate(await asyncio.gather(*behind), 1):
            assert received == ids[n:]

    for _ in range(20):
        place_trade(bob.id, "AAPL", "BUY", 1)
    place_trade(alice.id, "AAPL", "BUY", 1)
    bobs, alices, ids, stream_hub = token_of(bob), token_of(alice), ids_of(bob), Hub()
    asyncio.run(scenario())
    stream_hub.close()


def test_events_that_arrive_as_the_wait_ends_are_not_discarded() -> None:
    async def scenario() -> None:
        loop, stream = asyncio.get_running_loop(), hub.Stream(1, Cursor(0, 0), lambda event: b"")
        waiting = asyncio.create_task(stream.next(0.05))
        await asyncio.sleep(0)
        batch = hub.Batch([(Cursor(1, 1), b"x")], may_be_more=False)
        loop.call_soon(stream.deliver, batch)
        time.sleep(0.1)  # now both the events and the end of the wait are due, in this order
        assert await waiting is batch

    asyncio.run(scenario())
