"""The client, what a test case can do with it, and the table of cases."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from alpaca.common.exceptions import APIError
from alpaca.trading.client import TradingClient

from accounts.models import Customer

RELEASE = "0.44.0"


def client_of(server: str, key_id: str, secret_key: str) -> TradingClient:
    """Return the unmodified client, with a customer's keys for a server."""
    return TradingClient(key_id, secret_key, url_override=f"{server}/alpaca")


@dataclass
class Shim:
    """The unmodified client, the customer whose keys it has, and the requests that arrived."""

    client: TradingClient
    customer: Customer
    requests: list[str] = field(default_factory=list)
    has_differed: bool = False

    @contextmanager
    def differs(self) -> Iterator[None]:
        """Expect their test's assertion to fail here."""
        self.has_differed = True
        with pytest.raises((APIError, AssertionError)):
            yield

    def refused(self, call: Callable[[], Any]) -> tuple[int, int]:
        """Make a call that is refused; return the status and the code."""
        with pytest.raises(APIError) as error:
            call()
        assert error.value.message
        return error.value.status_code, error.value.code


@dataclass(frozen=True)
class Case:
    """One of their tests. `holds` says what must hold; `reason` says why this server differs, "" if it doesn't."""

    file: str
    name: str
    call: str
    holds: str
    reason: str
    run: Callable[[Shim], None]


CASES: list[Case] = []


def case(
    file: str, name: str, call: str, holds: str, reason: str = ""
) -> Callable[[Callable[[Shim], None]], Callable[[Shim], None]]:
    """Add one of their tests to the table."""

    def add(run: Callable[[Shim], None]) -> Callable[[Shim], None]:
        CASES.append(Case(file, name, call, holds, reason, run))
        return run

    return add
