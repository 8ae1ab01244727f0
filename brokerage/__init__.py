"""The brokerage: settings, addresses, and what joins the parts. See docs/explanation/architecture.md."""

from brokerage.celery import app as celery_app

__all__ = ["celery_app"]
