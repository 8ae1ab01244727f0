"""Is it up, and can it do its work?"""

import redis
from amqp.exceptions import AMQPError
from django.conf import settings
from django.db import Error, connection
from django.http import HttpRequest, JsonResponse
from kombu import Connection
from kombu.exceptions import OperationalError


def healthz(request: HttpRequest) -> JsonResponse:
    """200: the process is up."""
    return JsonResponse({"ok": True})


def readyz(request: HttpRequest) -> JsonResponse:
    """200: database and broker answer. 503: which of them does not; with only the broker away, trades go on, slowly."""
    parts = {"database": _database_answers(), "broker": _broker_answers()}
    return JsonResponse({"ok": all(parts.values()), **parts}, status=200 if all(parts.values()) else 503)


def _database_answers() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Error:
        return False
    return True


def _broker_answers() -> bool:
    if settings.BROKER_IS_RABBITMQ:
        try:
            with Connection(settings.BROKER_URL, connect_timeout=1) as broker:
                broker.connect()
        except (OSError, AMQPError, OperationalError):
            return False
        return True
    try:
        with redis.Redis.from_url(settings.BROKER_URL, socket_timeout=1, socket_connect_timeout=1) as broker:
            return bool(broker.ping())
    except redis.RedisError:
        return False
