"""The lanes' Celery app. Each setting has its reason; docs/how-to/operate.md has the measurements."""

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
# The `celery` command has the working folder in its path only while it imports this module, and removes it again:
# settings are read later.
sys.path.append(str(Path(__file__).resolve().parents[1]))

# Without Celery's Django fixup, which closes the database connection around every task: `trades.tasks` looks after it.
app = Celery("brokerage", fixups=[])
app.set_default()  # for every thread, not only for the one that came here first

LANES = Exchange("lanes", type="direct")


def route(name: str, args: Any, kwargs: dict[str, Any], options: dict[str, Any], **_: Any) -> dict[str, str] | None:
    """Send a turn to its lane's queue, no matter which process calls the task."""
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
        # A ring without a lane is a mistake of ours: it must not make a queue that nobody serves.
        task_create_missing_queues=False,
        # A ring whose worker dies is rung again; it costs nothing, for a doubled ring finds nothing to do.
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        # Results would be a second thing that can fail, and cost half a millisecond a task.
        task_ignore_result=True,
        worker_send_task_events=False,
        # Finishing an Execute is better than leaving it half done; a ring that comes again is a no-op.
        worker_cancel_long_running_tasks_on_connection_loss=False,
        # The default gives up after 100 tries.
        broker_connection_max_retries=None,
        broker_connection_retry_on_startup=True,
        # A Valkey that has become a replica refuses each command, but keeps the connection: the worker reconnects.
        broker_channel_error_retry=True,
        broker_connection_timeout=1,
        # The default waits for ever for a free connection.
        broker_pool_limit=10,
        # Bounded at the end of a process: unfinished rings go back to the queue.
        worker_soft_shutdown_timeout=5,
        worker_hijack_root_logger=False,
        accept_content=["json"],
        task_serializer="json",
        # RabbitMQ: a worker that has fallen silent is replaced after two of these.
        broker_heartbeat=5,
        broker_transport_options=transport_options(),
    )


# With the defaults a worker hangs for ever after a silent network cut; so measured: consuming again after 12 s.
WORKER_TRANSPORT = {
    "socket_timeout": 5,
    "socket_connect_timeout": 2,
    "health_check_interval": 5,
    "socket_keepalive": True,
    # A killed worker's rings come back after this (the default is an hour); the sweep is sooner anyway.
    "visibility_timeout": 60,
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
    "unacked_mutex_expire": 10,
    "queue_order_strategy": "round_robin",
}
# A door never waits long for a doorbell: the trade is in the database, and the sweep rings for it.
DOOR_TRANSPORT = WORKER_TRANSPORT | {"socket_timeout": 1, "socket_connect_timeout": 1, "max_retries": 0}

# Of the workers that serve a lane one works; when it is gone, the broker lets the next one go on.
RING_OF_WORKERS = {"x-queue-type": "quorum", "x-single-active-consumer": True}
# Producers and consumers notice within 2 s that a node has vanished; then they try the next one.
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
    """How a process talks to the broker: a worker may wait longer for it than a door may."""
    if settings.BROKER_IS_RABBITMQ:
        return RABBITMQ_TRANSPORT
    return (WORKER_TRANSPORT if for_worker else DOOR_TRANSPORT) | {"global_keyprefix": settings.KEY_PREFIX}


@signals.setup_logging.connect
def keep_our_logs(**_: Any) -> None:
    """Celery leaves logging alone when somebody answers this signal: Django has set it up."""


@signals.import_modules.connect
def set_up_django(**_: Any) -> None:
    """Set Django up before tasks are imported, where Celery's own commands are the first to come here."""
    if not apps.ready:
        django.setup()


@signals.celeryd_init.connect
def talk_as_a_worker(**_: Any) -> None:
    """Let every worker be as patient with the broker as one, also one started by `celery worker`."""
    app.conf.broker_transport_options = transport_options(for_worker=True)


@signals.celeryd_after_setup.connect
def serve_the_lanes_asked_for(instance: Any, **_: Any) -> None:
    """Serve only the lanes whose queues the worker was told to consume (`celery worker -Q lane-00,lane-01`)."""
    from trades.lane import queue_name, serve_only

    queues = instance.app.amqp.queues.consume_from
    serve_only(lane for lane in range(settings.LANES) if queue_name(lane) in queues)


app.autodiscover_tasks(["trades"])
