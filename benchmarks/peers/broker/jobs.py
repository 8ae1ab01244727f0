"""Enqueues jobs for the workers: the one thing in which the peers differ."""

from functools import cache

from django.conf import settings
from django.utils.module_loading import import_string


def enqueue(customer_id):
    """Have a worker call `trading.send_next` for this customer once the current transaction has committed."""
    _enqueue()(customer_id)


@cache
def _enqueue():
    return import_string(settings.ENQUEUE)
