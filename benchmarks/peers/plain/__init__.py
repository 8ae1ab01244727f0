"""The plain way: one Celery task a trade on one queue."""

from plain.celery import app as celery_app

__all__ = ["celery_app"]
