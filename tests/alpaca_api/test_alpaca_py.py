"""alpaca-py's own tests, with the unmodified client over HTTP, and the page with their results."""

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from importlib.metadata import version
from typing import Any

import pytest
from django.core.signals import request_started

from accounts import tokens
from exchange import market
from tests.alpaca_api.alpaca_py.page import NOT_RUN, PATH, RUN, page
from tests.alpaca_api.alpaca_py.shim import CASES, RELEASE, Case, Shim, client_of
from tests.conftest import StandInExchange
from tests.people import open_account, receive_shares


@pytest.fixture
def shim(exchange: StandInExchange, transactional_db: None, live_server: Any) -> Iterator[Shim]:
    """Provide the client with the keys of a customer who has cash and 200 AAPL."""
    market.refresh()
    market.forget()
    customer = open_account("alpaca@example.com", Decimal(100_000))
    receive_shares(customer, "AAPL", 200, Decimal(100))
    keys = tokens.issue(customer, "alpaca-py")
    client = client_of(live_server.url, keys.key_id, keys.secret_key)
    shim = Shim(client, customer)

    def record_request(environ: dict[str, str], **_: Any) -> None:
        query = environ["QUERY_STRING"]
        shim.requests.append(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}{query and '?'}{query}")

    request_started.connect(record_request)
    yield shim
    request_started.disconnect(record_request)
    client._session.close()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_alpaca_pys_own_test(case: Case, shim: Shim) -> None:
    case.run(shim)
    assert shim.has_differed == bool(case.reason)


def test_each_of_their_tests_is_in_the_table_once() -> None:
    assert version("alpaca-py") == RELEASE
    assert Counter(case.file for case in CASES) == RUN
    assert len({(case.file, case.name) for case in CASES}) == len(CASES)
    assert NOT_RUN.keys().isdisjoint(RUN)


def test_the_page_shows_the_results() -> None:
    assert PATH.read_text() == page(), "python -m tests.alpaca_api.alpaca_py writes it"
