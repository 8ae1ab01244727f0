"""The Django project: settings, URLs, and what joins the apps. See docs/explanation/architecture.md."""

import gc

# By default Python looks for cycles after 700 new objects, which costs a tenth of a process's start and finds little.
gc.set_threshold(50_000, 10, 10)

from brokerage.celery import app as celery_app  # noqa: E402 (the imports are what it saves)

__all__ = ["celery_app"]
