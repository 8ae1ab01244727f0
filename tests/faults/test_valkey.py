"""After any Valkey outage, every process recovers without a restart."""

from __future__ import annotations

import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
from celery import current_app
from django.conf import settings

from exchange import market, prices
from trades import lane
from trades.broker import broker, forget_broker
from trades.market_now import market_now
from web import rate_limits, valkey
from web.cache import BestEffortCache

BACK_SECONDS_MAX = 5.0
COMMAND = re.compile(rb"(?:^|\r\n)\*\d+\r\n")

# A server's error, and whether an open connection can work again later.
STATES = {
    "READONLY You can't write against a read only replica.": False,
    "LOADING Valkey is loading the dataset in memory": True,
    "BUSY Valkey is busy running a script.": True,
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.": True,
    "MISCONF Valkey is configured to save RDB snapshots, but it's currently unable to persist to disk.": True,
    "OOM command not allowed when used memory > 'maxmemory'.": True,
    "NOREPLICAS Not enough good replicas to write.": True,
}


class Proxy:
    """A proxy in front of Valkey. While it fails, it answers each command with an error."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._error: bytes | None = None
        self._stays = False
        self._generation = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def fail(self, error: str, *, passes: bool) -> None:
        """Answer with this error; open connections keep failing after the recovery unless the error `passes`."""
        self._error, self._stays = f"-{error}\r\n".encode(), not passes

    def recover(self) -> None:
        """Let new connections work, and open ones too if the error passes."""
        self._generation += 1
        if not self._stays:
            self._error = None

    def close(self) -> None:
        """Close all connections that are still open."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for end in self._open:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        for end in self._open:
            end.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                self._open += [client, server]
                for ends in ((client, server, True), (server, client, False)):
                    self._threads.append(
                        threading.Thread(target=self._pass_on, args=(*ends, self._generation), daemon=True)
                    )
                    self._threads[-1].start()

    def _pass_on(self, source: socket.socket, target: socket.socket, from_client: bool, generation: int) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if from_client and self._error and generation == 0:
                    source.sendall(self._error * len(COMMAND.findall(data)))
                else:
                    target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """Route this process's connections to Valkey through the proxy."""
    url = urlsplit(settings.BROKER_URL)
    proxy = Proxy((str(url.hostname), int(url.port or 6379)))
    changed = url._replace(netloc=f"{url.netloc.rpartition('@')[0]}@127.0.0.1:{proxy.port}").geturl()
    for name in ("BROKER_URL", "CACHE_URL"):
        monkeypatch.setattr(settings, name, changed)
    monkeypatch.setattr(current_app.conf, "broker_url", changed)
    _reconnect()
    yield proxy
    monkeypatch.undo()
    _reconnect()
    proxy.close()


def _reconnect() -> None:
    forget_broker()
    current_app._after_fork()  # type: ignore[attr-defined]
    rate_limits.reset()


def can_ring() -> bool:
    broker().flushdb()  # so that each ring sends a message
    return lane.ring([1, 2, 3])


def can_count() -> bool:
    key = f"attempt-{time.monotonic_ns()}"
    rate_limits.count_attempt(key, 10, 60)
    with redis.Redis.from_url(os.environ["BROKER_URL"]) as valkey:
        return any(True for _ in valkey.scan_iter(f"*{key}*"))


def can_cache() -> bool:
    cache = cache_through_the_proxy()
    value = str(time.monotonic())
    cache.set("kept", value)
    return cache.get("kept") == value


_caches: dict[str, BestEffortCache] = {}


def cache_through_the_proxy() -> BestEffortCache:
    options: dict[str, Any] = settings.CACHES["default"]
    if settings.CACHE_URL not in _caches:
        _caches[settings.CACHE_URL] = BestEffortCache(settings.CACHE_URL, options)
    return _caches[settings.CACHE_URL]


@pytest.mark.parametrize("error", STATES, ids=lambda error: error.split()[0])
@pytest.mark.parametrize("use", [can_ring, can_count, can_cache])
def test_after_any_valkey_outage_processes_recover_without_a_restart(
    proxy: Proxy, use: Callable[[], bool], error: str
) -> None:
    assert use()
    proxy.fail(error, passes=STATES[error])
    with suppress(redis.RedisError):
        assert not use()
    proxy.recover()
    deadline = time.monotonic() + BACK_SECONDS_MAX
    while not _works(use):
        assert time.monotonic() < deadline, f"{error}: not recovered in time"
        time.sleep(0.1)


@pytest.fixture
def silent_valkey(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Replace the cache by a server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        url = f"redis://127.0.0.1:{listener.getsockname()[1]}/0"
        monkeypatch.setattr(settings, "CACHE_URL", url)
        silent = BestEffortCache(url, settings.CACHES["default"])
        for module in (market, prices):
            monkeypatch.setattr(module, "cache", silent)
        _reconnect()
        _forget_market()
        yield
        monkeypatch.undo()
        _reconnect()
        _forget_market()


def _forget_market() -> None:
    market.forget()
    prices.forget()


@pytest.mark.django_db
@pytest.mark.usefixtures("silent_valkey", "instant_exchange")
def test_a_turn_waits_once_for_a_cache_that_is_cut_off() -> None:
    began = time.monotonic()
    for _ in range(3):
        market_now()
        rate_limits.count_attempt("sign-in", 10, 60)
        prices.refresh()
        market.refresh_clock()
    assert time.monotonic() - began < valkey.CACHE_SECONDS_MAX + 0.5


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("silent_valkey", "instant_exchange")
def test_prices_stay_known_while_the_cache_is_cut_off() -> None:
    market.refresh()
    prices.last_prices()  # starts to read them in the background
    deadline = time.monotonic() + BACK_SECONDS_MAX
    while prices.last_prices().price("AAPL") is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _works(use: Callable[[], bool]) -> bool:
    try:
        return use()
    except redis.RedisError:
        return False
