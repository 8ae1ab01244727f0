"""The Django project: settings, URLs, and what joins the apps. See docs/explanation/architecture.md."""

from brokerage.celery import app as celery_app

__all__ = ["celery_app"]
