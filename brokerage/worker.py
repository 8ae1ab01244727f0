"""Celery's consumer, as the lanes' workers use it."""

from celery.worker import consumer

DELAYED_DELIVERY = "celery.worker.consumer.delayed_delivery:DelayedDelivery"


class Consumer(consumer.Consumer):
    """Consumes without preparing delayed delivery, which no task of ours uses.

    With quorum queues, each new connection would first declare 28 more queues at every node of RabbitMQ, one after the
    other, and retry for seconds at a node that is away: exactly when a worker has to take over quickly.
    """

    class Blueprint(consumer.Consumer.Blueprint):  # type: ignore[misc, valid-type] # Celery has no types
        default_steps = tuple(step for step in consumer.Consumer.Blueprint.default_steps if step != DELAYED_DELIVERY)
