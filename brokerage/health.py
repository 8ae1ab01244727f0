"""Health checks: whether the process is up, and whether it can do its work."""

import time
from collections import deque
from functools import cache

import amqp
import redis
from django.conf import settings
from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from kombu import Connection
from kombu.exceptions import OperationalError

from web.patience import waiting

BROKER_SECONDS_MAX = 1.0
_brokers = deque(settings.BROKER_URLS)


def healthz(request: HttpRequest) -> JsonResponse:
    """Answer 200: the process is up."""
    return JsonResponse({"ok": True})


def readyz(request: HttpRequest) -> JsonResponse:
    """Answer 200 if this process can do its work, otherwise 503 with the part that fails.

    `database`: the process can write to its database, which has every migration of this release. `broker`: the broker
    accepts messages. If only the broker is down, trades still execute, but more slowly.
    """
    has_broker = broker_takes_messages()
    can_write = _can_write()
    migrated = can_write and _is_migrated()
    parts = {"database": can_write and migrated, "migrations": migrated, "broker": has_broker}
    is_ok = all(parts.values())
    return JsonResponse({"ok": is_ok, **parts}, status=200 if is_ok else 503)


def _can_write() -> bool:
    try:
        return not _is_read_only() or _is_writable_anew()
    except Error:
        return False


def _is_read_only() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::bool")
        return bool(cursor.fetchone()[0])


def _is_writable_anew() -> bool:
    """Return whether a new connection can write. After a failover, the old one may still lead to a standby."""
    connection.close()
    return not _is_read_only()


def _is_migrated() -> bool:
    try:
        return finds_every_migration()
    except (Error, Unmigrated):
        return False


class Unmigrated(Exception):
    """Migrations of this release are missing."""


@cache
def finds_every_migration() -> bool:
    """Return True if the database has every migration of this release. Only this answer is cached.

    Raises:
        Unmigrated: Migrations are missing.
    """
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        raise Unmigrated
    return True


def broker_takes_messages() -> bool:
    """Return whether the broker accepts a message now, and not only a connection."""
    if settings.BROKER_IS_RABBITMQ:
        return _any_rabbitmq_takes_messages()
    try:
        with (
            waiting(),
            redis.Redis.from_url(
                settings.BROKER_URL, socket_timeout=BROKER_SECONDS_MAX, socket_connect_timeout=BROKER_SECONDS_MAX
            ) as broker,
        ):
            return bool(broker.set("brokerage:ready", 1, ex=60))  # a replica, or a full one, still answers PING
    except redis.RedisError:
        return False


def _any_rabbitmq_takes_messages() -> bool:
    """Return whether a node accepts a message. Tries the last one that did first, and stops when time is up."""
    deadline = time.monotonic() + BROKER_SECONDS_MAX
    for url in list(_brokers):
        if _rabbitmq_takes_messages(url):
            return True
        _brokers.rotate(-1)
        if time.monotonic() > deadline:
            break
    return False


def _rabbitmq_takes_messages(url: str) -> bool:
    options = {"confirm_publish": True, "read_timeout": BROKER_SECONDS_MAX, "write_timeout": BROKER_SECONDS_MAX}
    try:
        with (
            waiting(),
            Connection(url, connect_timeout=BROKER_SECONDS_MAX, transport_options=options) as broker,
            broker.transport.establish_connection() as session,  # kombu's own way tries again for seconds
        ):
            # No queue gets it: the broker confirms the message and drops it, unless it is short of memory or disk.
            session.channel().basic_publish(amqp.Message(""), routing_key="brokerage.ready", timeout=BROKER_SECONDS_MAX)
    except (OSError, amqp.AMQPError, amqp.exceptions.MessageNacked, OperationalError):
        return False
    return True
