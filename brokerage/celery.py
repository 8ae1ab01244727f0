"""The Celery app of the lanes. Comments give the reason for each setting; docs/how-to/operate.md has measurements."""

import os
import socket
import sys
from pathlib import Path
from typing import Any

import django
from celery import Celery, signals
from django.apps import apps
from django.conf import settings
from kombu import Exchange, Queue

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "brokerage.settings")
# The `celery` command has the working folder in its path only while it imports this module, but settings are imported
# later.
sys.path.append(str(Path(__file__).resolve().parents[1]))

# Without Celery's Django fixup, which closes the database connection around every task. `trades.tasks` manages it.
app = Celery("brokerage", fixups=[])
app.set_default()  # for every thread, not only for the first one that imports this

LANES = Exchange("lanes", type="direct")


def route(name: str, args: Any, kwargs: dict[str, Any], options: dict[str, Any], **_: Any) -> dict[str, str] | None:
    """Route a turn to its lane's queue, no matter which process calls the task."""
    from trades.lane import queue_name

    return {"queue": queue_name(int(kwargs.get("lane", 0)))} if name == "trades.turn" else None


@app.on_configure.connect
def configure(sender: Celery, **_: Any) -> None:
    from trades.lane import queue_name

    arguments = RING_OF_WORKERS if settings.BROKER_IS_RABBITMQ else None
    sender.conf.update(
        broker_url=settings.BROKER_URL,
        task_queues=[
            Queue(name, LANES, routing_key=name, queue_arguments=arguments)
            for name in map(queue_name, range(settings.LANES))
        ],
        task_routes=(route,),
        # A ring without a lane would be a bug, and must not create a queue that nobody serves.
        task_create_missing_queues=False,
        # A ring whose worker dies is delivered again. That costs nothing, because a doubled ring finds nothing to do.
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        # Storing results could fail too, and would cost half a millisecond per task.
        task_ignore_result=True,
        worker_send_task_events=False,
        # It is better to finish an Execute than to leave it half done, and a ring that comes again is a no-op.
        worker_cancel_long_running_tasks_on_connection_loss=False,
        # The default gives up after 100 tries.
        broker_connection_max_retries=None,
        broker_connection_retry_on_startup=True,
        # A Valkey that has become a replica refuses commands but keeps the connection, so the worker must reconnect.
        broker_channel_error_retry=True,
        broker_connection_timeout=1,
        # The default waits forever for a free connection.
        broker_pool_limit=10,
        # Bounds the shutdown of a process; unfinished rings go back to the queue.
        worker_soft_shutdown_timeout=5,
        worker_consumer="brokerage.worker:Consumer",
        worker_hijack_root_logger=False,
        accept_content=["json"],
        task_serializer="json",
        # In seconds. RabbitMQ replaces a worker that has been silent for two heartbeats.
        broker_heartbeat=5,
        broker_transport_options=transport_options(),
    )


# With the defaults, a worker hangs forever after a silent network cut. With these, it consumes again after 12 s.
WORKER_TRANSPORT = {
    "socket_timeout": 5,
    "socket_connect_timeout": 2,
    "health_check_interval": 5,
    "socket_keepalive": True,
    # In seconds, until a killed worker's rings come back. The default is an hour; the sweep rings sooner anyway.
    "visibility_timeout": 60,
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
    "unacked_mutex_expire": 10,
    "queue_order_strategy": "round_robin",
}
# A door must never wait long to ring: the trade is in the database, and the sweep rings for it.
DOOR_TRANSPORT = WORKER_TRANSPORT | {"socket_timeout": 1, "socket_connect_timeout": 1, "max_retries": 0}

# Only one of the workers that serve a lane consumes at a time. When it is gone, the broker activates the next one.
RING_OF_WORKERS = {"x-queue-type": "quorum", "x-single-active-consumer": True}
# Workers notice within 2 s that a node has vanished, and try the next one (doors: trades/rabbitmq.py).
RABBITMQ_TRANSPORT = {
    "read_timeout": 5,
    "write_timeout": 2,
    "socket_settings": {
        getattr(socket, name): value
        for name, value in (("TCP_USER_TIMEOUT", 2_000), ("TCP_KEEPIDLE", 1), ("TCP_KEEPINTVL", 1), ("TCP_KEEPCNT", 2))
        if hasattr(socket, name)
    },
}


def transport_options(*, for_worker: bool = False) -> dict[str, Any]:
    """Return the options of a process's connection to the broker. A worker may wait longer for it than a door."""
    if settings.BROKER_IS_RABBITMQ:
        return RABBITMQ_TRANSPORT
    return (WORKER_TRANSPORT if for_worker else DOOR_TRANSPORT) | {"global_keyprefix": settings.KEY_PREFIX}


@signals.setup_logging.connect
def keep_our_logs(**_: Any) -> None:
    """Keep Django's logging: Celery does not configure its own if this signal has a receiver."""


@signals.import_modules.connect
def set_up_django(**_: Any) -> None:
    """Set up Django before tasks are imported, in case a command of Celery itself was started."""
    if not apps.ready:
        django.setup()


@signals.celeryd_init.connect
def use_worker_options(**_: Any) -> None:
    """Use the broker options of a worker in every worker, even if it was started with `celery worker`."""
    app.conf.broker_transport_options = transport_options(for_worker=True)


@signals.celeryd_after_setup.connect
def serve_consumed_lanes(instance: Any, **_: Any) -> None:
    """Serve only the lanes whose queues the worker was told to consume (`celery worker -Q lane-00,lane-01`)."""
    from trades.lane import queue_name, serve_only

    queues = instance.app.amqp.queues.consume_from
    serve_only(lane for lane in range(settings.LANES) if queue_name(lane) in queues)


app.autodiscover_tasks(["trades"])
