"""Event streams and WebSockets: access, limits, and no duplicate events."""

import asyncio
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.db.models.functions import Now

from accounts import tokens
from accounts.models import Customer, Token
from accounts.tokens import Issued
from brokerage.asgi import Application
from feed import hub, stream
from feed.reader import Cursor
from tests.feed.conftest import EventClient, SocketClient
from tests.people import open_account
from trades.models import StatusChange
from trades.place import place_trade

pytestmark = pytest.mark.django_db(transaction=True)
TokenOf = Callable[[Customer], Issued]


async def place(customer: Customer, count: int = 1) -> None:
    for _ in range(count):
        await in_thread(place_trade, customer.id, "AAPL", "BUY", 1)


async def in_thread(work: Callable[..., Any], *arguments: Any) -> Any:
    def call_and_disconnect() -> Any:
        try:
            return work(*arguments)
        finally:
            connection.close()

    return await asyncio.to_thread(call_and_disconnect)


async def wait_for_events(client: SocketClient, count: int) -> None:
    await client.wait_until(lambda: len(client.event_ids) >= count)


def ids_of(customer: Customer) -> list[str]:
    rows = StatusChange.objects.filter(customer_id=customer.id).order_by("xact", "id").values_list("xact", "id")
    return [str(Cursor(xact, number)) for xact, number in rows]


def test_a_stream_ends_with_its_token_even_if_its_client_reads_nothing(
    bob: Customer, token_of: TokenOf, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        client = EventClient(application, issued.token)
        assert await client.status() == 200
        client.reads.clear()
        await place(bob)
        await asyncio.sleep(1)
        await in_thread(issued.grant.delete)
        await place(bob)
        await asyncio.sleep(hub.GRANTS_CHECKED_SECONDS + 1)
        client.reads.set()
        await client.ended()
        assert len(client.event_ids) <= 1, "only an event that was already being sent may arrive"

    issued = token_of(bob)
    monkeypatch.setattr(hub, "GRANTS_CHECKED_SECONDS", 0.5)
    asyncio.run(scenario())


def test_a_stream_is_complete_when_the_server_stops(bob: Customer, token_of: TokenOf, application: Application) -> None:
    """The server cancels running requests, but their responses are completed and no errors are logged."""

    async def scenario() -> None:
        client = EventClient(application, issued.token)
        await client.wait_until(lambda: "retry:" in client.body)
        client.task.cancel()
        await client.ended()
        assert client.sent[-1] == {"type": "http.response.body"}

    issued = token_of(bob)
    asyncio.run(scenario())


def end_token(token: Token, how: str) -> None:
    if how == "deleted":
        token.delete()
    elif how == "expired":
        Token.objects.filter(pk=token.pk).update(expires_at=Now())
    else:
        Customer.objects.filter(pk=token.customer_id).update(is_active=False)


@pytest.mark.parametrize(
    ("listens", "how"), [(False, "deleted"), (True, "deleted"), (True, "expired"), (True, "customer deactivated")]
)
def test_a_socket_whose_token_has_ended_is_closed(
    bob: Customer, token_of: TokenOf, application: Application, listens: bool, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        client = SocketClient(application)
        await client.sign_in(issued)
        if listens:
            await client.listen("trade_updates")
        await in_thread(end_token, issued.grant, how)
        await client.ended()
        assert client.code == 1008

    issued = token_of(bob)
    monkeypatch.setattr(hub, "GRANTS_CHECKED_SECONDS", 0.5)
    asyncio.run(scenario())


def test_a_deleted_token_cannot_resume_a_stream(
    bob: Customer, token_of: TokenOf, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        client = SocketClient(application)
        await client.sign_in(issued)
        await in_thread(Token.objects.filter(pk=issued.grant.pk).delete)
        await place(bob)
        await client.listen("trade_updates")
        await client.ended()
        assert (client.code, client.event_ids) == (1008, [])

    issued = token_of(bob)
    monkeypatch.setattr(hub, "GRANTS_CHECKED_SECONDS", 3600)  # so that the periodic check does not end the stream
    asyncio.run(scenario())


def test_a_client_that_listens_repeatedly_gets_each_update_once(
    bob: Customer, token_of: TokenOf, application: Application
) -> None:
    async def scenario() -> None:
        client = SocketClient(application)
        await client.sign_in(issued)
        for count in range(1, 6):
            await client.listen("trade_updates")
            await place(bob)
            await wait_for_events(client, count)
            await client.listen()
        await place(bob)
        await asyncio.sleep(3 * hub.POLL_SECONDS)
        assert len(client.event_ids) == 5, "there must be no updates while the client does not listen"
        await client.listen("trade_updates")
        await client.wait_until(lambda: len(client.event_ids) >= 6)
        await asyncio.sleep(3 * hub.POLL_SECONDS)
        assert client.event_ids == await in_thread(ids_of, bob)
        await client.leave()

    issued = token_of(bob)
    asyncio.run(scenario())


def test_a_socket_resumes_after_an_event(bob: Customer, token_of: TokenOf, application: Application) -> None:
    async def scenario() -> None:
        for after, expected in [("0", ids), (ids[1], ids[2:])]:
            client = SocketClient(application, f"after={after}")
            await client.sign_in(issued)
            await client.listen("trade_updates")
            await wait_for_events(client, len(expected))
            assert client.event_ids == expected
            await client.leave()
        client = SocketClient(application, f"after={'7' * 32}")
        await client.sign_in(issued)
        await client.ended()
        assert client.code == 1008

    for _ in range(4):
        place_trade(bob.id, "AAPL", "BUY", 1)
    issued, ids = token_of(bob), ids_of(bob)
    asyncio.run(scenario())


def test_connections_are_limited_per_customer_and_address(
    alice: Customer, bob: Customer, token_of: TokenOf, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "CONNECTIONS_OF_A_CUSTOMER_MAX", 3)
    monkeypatch.setattr(hub, "CONNECTIONS_OF_AN_ADDRESS_MAX", 4)

    async def scenario() -> None:
        clients = [EventClient(application, bobs.token, client=(f"192.0.2.{n}", 1)) for n in range(3)]
        assert [await client.status() for client in clients] == [200] * 3
        refused = EventClient(application, bobs.token, client=("192.0.2.9", 1))
        assert await refused.status() == 429
        assert '"too_many_streams"' in refused.body
        assert dict(refused.sent[0]["headers"])[b"retry-after"]
        socket = SocketClient(application)
        await socket.sign_in(bobs)
        await socket.ended()
        assert socket.code == 1013
        await clients[0].leave()
        reconnected = EventClient(application, bobs.token)
        assert await reconnected.status() == 200, "a closed connection no longer counts"

        sockets = [SocketClient(application) for _ in range(3)]  # not signed in, from the address of `reconnected`
        await asyncio.sleep(0.1)
        same_address = EventClient(application, alices.token)
        assert await same_address.status() == 429
        other_address = EventClient(application, alices.token, client=("192.0.2.50", 1))
        assert await other_address.status() == 200
        for client in [*clients[1:], reconnected, *sockets, other_address]:
            await client.leave()

    bobs, alices = token_of(bob), token_of(alice)
    asyncio.run(scenario())


def test_the_client_address_is_the_one_that_the_balancer_reports(settings: Any) -> None:
    scope = {"headers": [(b"x-forwarded-for", b"203.0.113.9, 198.51.100.7")], "client": ("127.0.0.1", 1)}
    assert stream.address_of(scope) == "127.0.0.1"
    settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | {"NUM_PROXIES": 1}
    assert stream.address_of(scope) == "198.51.100.7"


def test_strangers_are_limited(application: Application, settings: Any) -> None:
    settings.STRANGERS_A_MINUTE = 3

    async def scenario() -> list[dict[str, Any]]:
        clients = [EventClient(application, "brk_nobody") for _ in range(9)]
        for client in clients:
            await client.status()
        return [client.sent[0] for client in clients]

    responses = asyncio.run(scenario())
    refused = [dict(response["headers"]) for response in responses if response["status"] == 429]
    assert all(0 < int(headers[b"retry-after"]) <= 60 for headers in refused)
    statuses = [response["status"] for response in responses]
    assert set(statuses) == {401, 429}, "even at the end of a minute, one of the two minutes exceeds the limit"


def test_a_token_is_refused_from_addresses_that_it_does_not_allow(bob: Customer, application: Application) -> None:
    issued = tokens.issue(bob, "x", allowed_addresses=["203.0.113.0/24"])

    async def scenario() -> None:
        refused = EventClient(application, issued.token, client=("192.0.2.1", 1))
        assert await refused.status() == 403
        assert '"address_not_allowed"' in refused.body
        allowed = EventClient(application, issued.token, client=("203.0.113.9", 1))
        assert await allowed.status() == 200
        await allowed.leave()
        socket = SocketClient(application)
        await socket.sign_in(issued)
        await socket.ended()
        assert (socket.received("authorization")[0]["status"], socket.code) == ("unauthorized", 1008)

    asyncio.run(scenario())


def test_strangers_are_limited_on_the_socket(
    bob: Customer, token_of: TokenOf, application: Application, settings: Any
) -> None:
    settings.STRANGERS_A_MINUTE = 3

    async def scenario() -> list[int | None]:
        codes = []
        for _ in range(9):
            client = SocketClient(application)
            client.send("authenticate", key_id="BKNOBODY", secret_key="guessed")
            await client.ended()
            codes.append(client.code)
        return codes

    assert set(asyncio.run(scenario())) == {1008, 1013}, (
        "even at the end of a minute, one of the two minutes exceeds the limit"
    )


def test_a_client_that_reads_nothing_is_disconnected(
    bob: Customer, token_of: TokenOf, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "WRITE_SECONDS_MAX", 0.5)

    async def scenario() -> None:
        client = EventClient(application, issued.token)
        assert await client.status() == 200
        client.reads.clear()
        await place(bob)
        await client.ended()

    issued = token_of(bob)
    asyncio.run(scenario())


@pytest.mark.parametrize("after", ["f" * 15 + "0" * 17, "7" * 32, "x", "0" * 31])
def test_an_invalid_or_future_last_event_id_is_refused(
    bob: Customer, token_of: TokenOf, application: Application, after: str
) -> None:
    async def scenario() -> None:
        for client in (
            EventClient(application, issued.token, headers={"last_event_id": after}),
            EventClient(application, issued.token, f"after={after}"),
            EventClient(application, issued.token, f"after={after}", headers={"accept": "application/json"}),
        ):
            assert await client.status() == 400
            assert '"invalid"' in client.body

    issued = token_of(bob)
    asyncio.run(scenario())


def test_paging_and_streaming_return_the_same_events(
    bob: Customer, token_of: TokenOf, application: Application, api_of: Callable[..., Any]
) -> None:
    async def read_stream() -> str:
        client = EventClient(application, issued.token, "after=0")
        await client.wait_until(lambda: len(client.event_ids) >= 7)
        await client.leave()
        return client.body

    async def read_page() -> str:
        client = EventClient(application, issued.token, "limit=3", headers={"accept": "application/json"})
        await client.ended()
        return client.body

    for _ in range(7):
        place_trade(bob.id, "AAPL", "BUY", 1)
    place_trade(open_account("other@example.com", Decimal(1)).id, "AAPL", "BUY", 1)
    issued, api = token_of(bob), api_of(bob)
    results: list[Any] = []
    after: str | None = "0"
    while after:
        response = api.get(f"/api/v1/events?after={after}&limit=3", headers={"Accept": "application/json"}).json()
        assert len(response["results"]) <= 3
        results += response["results"]
        after = response["next"]
    assert [event["eventId"] for event in results] == ids_of(bob)
    body = asyncio.run(read_stream())
    assert [block.partition("data: ")[2] for block in body.split("\n\n") if "data: " in block] == [
        json.dumps(event, separators=(",", ":")) for event in results
    ]
    assert json.loads(asyncio.run(read_page()))["results"] == results[:3]
