"""Run the stand-in exchange (`python -m exchange.simulator`) until SIGTERM or SIGINT."""

from __future__ import annotations

import asyncio
import base64
import logging
import os
import secrets
import signal
import sqlite3
import sys
from dataclasses import dataclass
from pathlib import Path

import structlog
from standardwebhooks import Webhook

from exchange.simulator.announcement_store import AnnouncementStore
from exchange.simulator.app import App
from exchange.simulator.calendar import HOURS
from exchange.simulator.callbacks import Callbacks
from exchange.simulator.clock import Clock
from exchange.simulator.database import Database
from exchange.simulator.execution import ExecutionEngine
from exchange.simulator.faults import Faults
from exchange.simulator.http_server import HttpServer
from exchange.simulator.market import Market
from exchange.simulator.market_data_api import MarketDataApi
from exchange.simulator.order_store import OrderStore
from exchange.simulator.parameters import BODY_BYTES_MAX
from exchange.simulator.tester_api import TesterApi
from exchange.simulator.trading_api import TradingApi

LATENCY_MS_MAX = 3_600_000


class CannotStart(Exception):
    """The exchange can't start. The message is for the operator."""


@dataclass(frozen=True)
class Settings:
    """The settings of the process."""

    host: str
    port: int
    folder: Path
    hours: str
    latency_ms: int
    secret: str

    @classmethod
    def from_environment(cls) -> Settings:
        """Read the settings from the environment and check them.

        Raises:
            CannotStart: A value is not valid. The message names its variable.
        """
        folder = Path(os.environ.get("DATA_DIR") or "var") / "exchange"
        hours = os.environ.get("EXCHANGE_HOURS") or "always"
        if hours not in HOURS:
            raise CannotStart(f"EXCHANGE_HOURS must be one of {', '.join(HOURS)}, not {hours!r}")
        return cls(
            host=os.environ.get("EXCHANGE_HOST") or "127.0.0.1",
            port=_number("EXCHANGE_PORT", 8100, 1, 65_535),
            folder=folder,
            hours=hours,
            latency_ms=_number("EXCHANGE_LATENCY_MS", 50, 0, LATENCY_MS_MAX),
            secret=os.environ.get("EXCHANGE_SECRET") or "",
        )


def _number(name: str, default: int, minimum: int, maximum: int) -> int:
    text = os.environ.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and minimum <= int(text) <= maximum):
        raise CannotStart(f"{name} must be a whole number from {minimum} to {maximum}, not {text!r}")
    return int(text)


def _webhook(settings: Settings) -> Webhook:
    """Return the signer of callbacks. Without EXCHANGE_SECRET, its secret is generated once and stored in a file."""
    secret = settings.secret
    if not secret:
        file = settings.folder / "secret"
        if not file.exists():
            file.touch(mode=0o600)
            file.write_text("whsec_" + base64.b64encode(secrets.token_bytes(32)).decode())
        secret = file.read_text().strip()
    try:
        return Webhook(secret)
    except Exception as error:
        raise CannotStart("EXCHANGE_SECRET must be whsec_ followed by base64") from error


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
    """Run until SIGTERM or SIGINT.

    Raises:
        CannotStart: The database can't be opened, or the address is in use.
    """
    try:
        database = Database(settings.folder)
    except (OSError, sqlite3.Error) as error:
        raise CannotStart(f"can't open the database in {settings.folder}: {error}") from error
    log = structlog.get_logger("exchange")
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)

    orders, announcements = OrderStore(database), AnnouncementStore(database)
    faults = Faults(settings.latency_ms)
    clock = Clock(announcements.clock_offset())
    market = Market(HOURS[settings.hours](announcements.closures()), announcements.actions())
    market.hours.is_open(clock.now())  # load the calendar now, so that the first trades don't wait for it
    callbacks = Callbacks(orders, faults, clock, _webhook(settings))
    engine = ExecutionEngine(orders, market, faults, callbacks, clock)
    trading, market_data = TradingApi(orders, engine, faults), MarketDataApi(market, announcements, clock, faults)
    tester = TesterApi(announcements, market, clock, faults, engine, callbacks)
    app = App(trading.routes() | market_data.routes(), tester.routes(), faults, clock)
    server = HttpServer(app, app.refuse, BODY_BYTES_MAX)
    try:
        await server.start(settings.host, settings.port)
    except OSError as error:
        raise CannotStart(f"can't listen on {settings.host}:{settings.port}: {error.strerror or error}") from error
    engine.resume()
    log.info("exchange_started", url=f"http://{settings.host}:{settings.port}", hours=settings.hours)
    await stop.wait()
    await server.stop()
    callbacks.close()
    database.close()
    log.info("exchange_stopped")


def main() -> None:
    """Run until stopped. If the exchange can't start, exit with code 1 and one line on stderr."""
    _configure_log()
    try:
        asyncio.run(serve(Settings.from_environment()))
    except CannotStart as error:
        sys.stderr.write(f"exchange: {error}\n")
        code = 1
    else:
        code = 0
    # A normal exit would wait for threads that still compute charts.
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
