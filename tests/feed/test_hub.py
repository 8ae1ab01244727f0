"""The hub reads for all streams at once: each event once, in order, and no customer waits for another's history."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from accounts.models import Customer
from accounts.tokens import Issued
from feed import hub, reader
from feed.hub import Hub
from feed.reader import Cursor, Event
from tests.feed.test_streams import ids_of, in_thread, place
from trades.place import place_trade

pytestmark = pytest.mark.django_db(transaction=True)
TokenOf = Callable[[Customer], Issued]


def test_an_event_is_written_out_once_for_all_its_streams(bob: Customer, token_of: TokenOf) -> None:
    """1,000 streams of one token must not make an event 1,000 times the work."""
    written: list[str] = []

    def render(event: Event) -> bytes:
        written.append(event.id)
        return event.id.encode()

    async def read(the_hub: Hub) -> list[list[bytes]]:
        async def one(number: int) -> list[bytes]:
            with the_hub.connection(f"192.0.2.{number}") as mine_open:
                mine_open.admit(issued.grant)
                with mine_open.stream(start, render) as mine:
                    got: list[bytes] = []
                    while len(got) < 5:
                        batch = await mine.next(10)
                        got += [content for _, content in batch.events] if batch else []
                    return got

        readers = [asyncio.create_task(one(number)) for number in range(40)]
        await asyncio.sleep(0.1)
        await place(bob, 5)
        return list(await asyncio.gather(*readers))

    issued, start, the_hub = token_of(bob), reader.latest_cursor(), Hub()
    got = asyncio.run(read(the_hub))
    the_hub.close()
    assert got == [[each.encode() for each in ids_of(bob)]] * 40
    assert sorted(written) == ids_of(bob)


def test_one_read_gives_a_reader_so_many_events_at_most(
    bob: Customer, token_of: TokenOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader that is far behind is served in portions, and every event reaches it once, in order."""
    monkeypatch.setattr(hub, "EVENTS_OF_A_CUSTOMER_MAX", 3)

    async def read() -> list[list[bytes]]:
        portions: list[list[bytes]] = []
        with the_hub.connection("192.0.2.1") as mine_open:
            mine_open.admit(issued.grant)
            with mine_open.stream(Cursor(0, 0), lambda event: event.id.encode()) as mine:
                while sum(map(len, portions)) < 10:
                    batch = await mine.next(10)
                    assert batch
                    portions.append([content for _, content in batch.events])
        return portions

    for _ in range(10):
        place_trade(bob.id, "AAPL", "BUY", 1)
    issued, the_hub = token_of(bob), Hub()
    portions = asyncio.run(read())
    the_hub.close()
    assert [len(portion) for portion in portions] == [3, 3, 3, 1]
    assert [content.decode() for portion in portions for content in portion] == ids_of(bob)


def test_however_many_streams_are_behind_a_read_takes_a_customers_share(
    alice: Customer, bob: Customer, token_of: TokenOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bob reads his whole history by many streams, each at another place; Alice's event waits for one read at most."""
    monkeypatch.setattr(hub, "EVENTS_OF_A_CUSTOMER_MAX", 5)
    rendered: list[str] = []

    def render(event: Event) -> bytes:
        rendered.append(event.id)
        return event.id.encode()

    async def follow(grant: Any, start: Cursor, count: int) -> list[str]:
        with the_hub.connection("192.0.2.1") as mine_open:
            mine_open.admit(grant)
            with mine_open.stream(start, render) as mine:
                got: list[str] = []
                while len(got) < count:
                    batch = await mine.next(10)
                    got += [content.decode() for _, content in batch.events] if batch else []
                return got

    async def story() -> None:
        starts = [Cursor.parse(event_id) for event_id in ids]
        behind = [asyncio.create_task(follow(his.grant, start, 20 - n)) for n, start in enumerate(starts[:-1], 1)]
        got = await follow(hers.grant, Cursor(0, 0), 1)
        assert len(rendered) == len(got) + 19, "one event of each of Bob's streams"
        assert got == await in_thread(ids_of, alice)
        for n, got in enumerate(await asyncio.gather(*behind), 1):
            assert got == ids[n:]

    for _ in range(20):
        place_trade(bob.id, "AAPL", "BUY", 1)
    place_trade(alice.id, "AAPL", "BUY", 1)
    his, hers, ids, the_hub = token_of(bob), token_of(alice), ids_of(bob), Hub()
    asyncio.run(story())
    the_hub.close()


def test_events_that_arrive_as_the_wait_ends_are_not_discarded() -> None:
    async def story() -> None:
        loop, stream = asyncio.get_running_loop(), hub.Stream(1, Cursor(0, 0), lambda event: b"")
        waiting = asyncio.create_task(stream.next(0.05))
        await asyncio.sleep(0)
        batch = hub.Batch([(Cursor(1, 1), b"x")], may_be_more=False)
        loop.call_soon(stream.deliver, batch)
        time.sleep(0.1)  # now both are due: the events first, then the end of the wait
        assert await waiting is batch

    asyncio.run(story())
