"""The Celery task, called once for each trade."""

from celery import shared_task

from broker import trading


@shared_task
def send_next(customer_id):
    trading.send_next(customer_id)


def enqueue(customer_id):
    send_next.delay_on_commit(customer_id)
