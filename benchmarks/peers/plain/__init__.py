"""The plain peer: one Celery task per trade, on one queue."""

from plain.celery import app as celery_app

__all__ = ["celery_app"]
