"""Send messages to RabbitMQ, over one connection of this process, through whichever node takes them in time.

A node that is cut off neither refuses nor answers, and its peers hold requests that concern it (declaring a queue of
which it had the leader, for example) until they count it as down, which takes more than ten seconds. So a message is
written without asking for any answer, and only opening a connection waits for the node.
"""

import threading
import time
from functools import cache
from typing import Any

from celery import current_app
from django.conf import settings

from web.patience import seconds_left, waiting

ANSWER_SECONDS_MAX = 0.4  # how long a node may take to accept a connection, and for each answer while it is opened
SEND_SECONDS_MAX = 1.0  # after this, no other node is tried


class Publisher:
    """One connection to RabbitMQ. Threads may share it; they send one after another."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connection = current_app.connection_for_write(
            settings.BROKER_URL,
            connect_timeout=ANSWER_SECONDS_MAX,
            transport_options={
                "read_timeout": ANSWER_SECONDS_MAX,
                "write_timeout": ANSWER_SECONDS_MAX,
                "max_retries": 0,
            },
        )

    @waiting()
    def send(self, task: str, queue: str, arguments: dict[str, Any]) -> None:
        """Send a task to a queue. The workers declare the queue; before the first one did, the message is lost.

        Raises:
            Exception: No node took the message in time; clients raise all kinds of errors.
        """
        seconds = seconds_left(SEND_SECONDS_MAX, optional=True)
        ends_at = time.monotonic() + seconds
        if not self._lock.acquire(timeout=seconds):
            raise TimeoutError("other threads are waiting for the broker")
        try:
            self._try_nodes(ends_at, task, queue, arguments)
        finally:
            self._lock.release()

    def drop(self) -> None:
        """Drop the connection without a word to the node, because a proper end would wait for its answer."""
        self._connection.collect()

    def _try_nodes(self, ends_at: float, task: str, queue: str, arguments: dict[str, Any]) -> None:
        # The first try may find that the node has closed the connection; each further try connects to the next node.
        for tries_left in reversed(range(1 + len(settings.BROKER_URLS))):
            try:
                producer = current_app.amqp.Producer(self._connection)
                current_app.send_task(task, kwargs=arguments, queue=queue, producer=producer, declare=[], retry=False)
                return
            except Exception:
                self.drop()
                self._connection.maybe_switch_next()
                if not tries_left or time.monotonic() > ends_at:
                    raise


@cache
def publisher() -> Publisher:
    """Return this process's publisher."""
    return Publisher()
