"""The lanes' Celery app, as seen from a web server's thread."""

from concurrent.futures import ThreadPoolExecutor

from celery import current_app
from celery.worker import consumer
from django.conf import settings

from brokerage.celery import app
from brokerage.worker import DELAYED_DELIVERY, Consumer


def test_every_thread_rings_through_our_app() -> None:
    with ThreadPoolExecutor(1) as threads:
        used = threads.submit(lambda: (current_app._get_current_object(), current_app.conf.broker_url)).result()  # type: ignore[attr-defined]
    assert used == (app, settings.BROKER_URL)


def test_each_lane_is_a_queue_with_a_key_of_its_own() -> None:
    queues = app.conf.task_queues
    assert len(queues) == settings.LANES
    assert {(queue.name, queue.routing_key) for queue in queues} == {
        (f"lane-{lane:02d}", f"lane-{lane:02d}") for lane in range(settings.LANES)
    }


def test_workers_consume_without_preparing_delayed_delivery() -> None:
    assert app.conf.worker_consumer == f"{Consumer.__module__}:{Consumer.__name__}"
    removed = set(consumer.Consumer.Blueprint.default_steps) - set(Consumer.Blueprint.default_steps)
    assert removed == {DELAYED_DELIVERY}
