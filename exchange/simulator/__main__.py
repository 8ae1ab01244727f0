"""`python -m exchange.simulator`: the stand-in exchange, until SIGTERM or SIGINT."""

from __future__ import annotations

import asyncio
import base64
import logging
import os
import secrets
import signal
import socket
import sqlite3
import sys
from dataclasses import dataclass
from pathlib import Path

import structlog
from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server
from standardwebhooks import Webhook

from exchange.simulator.app import App
from exchange.simulator.book import Book
from exchange.simulator.calendar import HOURS
from exchange.simulator.callbacks import Callbacks
from exchange.simulator.faults import DURATIONS, Faults
from exchange.simulator.market import Market
from exchange.simulator.notation import now
from exchange.simulator.store import Store

STOP_SECONDS_MAX = 1.0

#: Calls under way at most. Those that a fault leaves without an answer count too.
CALLS_MAX = 10_000


class CannotStart(Exception):
    """Words for the operator."""


@dataclass(frozen=True)
class Settings:
    """What the environment says."""

    host: str
    port: int
    folder: Path
    hours: str
    latency_ms: int
    secret: str

    @classmethod
    def from_environment(cls) -> Settings:
        """Raises CannotStart, naming the variable, for a value that makes no sense."""
        folder = Path(os.environ.get("DATA_DIR") or "var") / "exchange"
        hours = os.environ.get("EXCHANGE_HOURS") or "always"
        if hours not in HOURS:
            raise CannotStart(f"EXCHANGE_HOURS must be one of {', '.join(HOURS)}, not {hours!r}")
        return cls(
            host=os.environ.get("EXCHANGE_HOST") or "127.0.0.1",
            port=_number("EXCHANGE_PORT", 8100, 1, 65_535),
            folder=folder,
            hours=hours,
            latency_ms=_number("EXCHANGE_LATENCY_MS", 50, 0, DURATIONS["latencyMs"]),
            secret=os.environ.get("EXCHANGE_SECRET") or "",
        )


def _number(name: str, default: int, least: int, most: int) -> int:
    text = os.environ.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
        raise CannotStart(f"{name} must be a whole number from {least} to {most}, not {text!r}")
    return int(text)


def _webhook(settings: Settings) -> Webhook:
    """Signs callbacks; without EXCHANGE_SECRET with a secret of its own, kept in the folder for brokers to read."""
    secret = settings.secret
    if not secret:
        kept = settings.folder / "secret"
        if not kept.exists():
            kept.touch(mode=0o600)
            kept.write_text("whsec_" + base64.b64encode(secrets.token_bytes(32)).decode())
        secret = kept.read_text().strip()
    try:
        return Webhook(secret)
    except Exception as error:
        raise CannotStart("EXCHANGE_SECRET must be whsec_ followed by base64") from error


def _require_free(host: str, port: int) -> None:
    """Raises CannotStart when the port is taken. The server itself would share it with whoever has it."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except OSError as error:
        raise CannotStart(f"can't listen on {host}:{port}: {error.strerror or error}") from error


def _configure_log() -> None:
    as_json = os.environ.get("LOG_FORMAT") == "json"
    renderer = structlog.processors.JSONRenderer() if as_json else structlog.processors.LogfmtRenderer()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


async def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT. Raises CannotStart."""
    _require_free(settings.host, settings.port)
    try:
        store = Store(settings.folder)
    except (OSError, sqlite3.Error) as error:
        raise CannotStart(f"can't open the record in {settings.folder}: {error}") from error
    log = structlog.get_logger("exchange")
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)

    faults = Faults(settings.latency_ms)
    market = Market(HOURS[settings.hours]())
    market.hours.is_open(now())  # reads the calendar now rather than while the first trades wait
    callbacks = Callbacks(store, faults, _webhook(settings))
    book = Book(store, market, faults, callbacks)
    book.resume()
    server = Server(
        App(store, book, market, callbacks, faults),
        settings.host,
        settings.port,
        interface=Interfaces.RSGI,
        http=HTTPModes.http1,
        websockets=False,
        backlog=1024,
        backpressure=CALLS_MAX,
        log_enabled=False,
    )
    serving = asyncio.create_task(server.serve())
    stopping = asyncio.create_task(stop.wait())
    log.info("exchange_started", url=f"http://{settings.host}:{settings.port}", hours=settings.hours)
    await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
    if stopping.done():
        server.stop()
        await asyncio.wait((serving,), timeout=STOP_SECONDS_MAX)
    callbacks.close()
    store.close()
    log.info("exchange_stopped")
    if not stopping.done():
        raise CannotStart("the HTTP server ended by itself")


def main() -> None:
    _configure_log()
    try:
        asyncio.run(serve(Settings.from_environment()))
    except CannotStart as error:
        sys.stderr.write(f"exchange: {error}\n")
        code = 1
    else:
        code = 0
    # Calls that a fault leaves without an answer would keep the interpreter waiting.
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
