"""The Celery app, as in Celery's guide for Django."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "plain.settings")

app = Celery("plain")
app.config_from_object("django.conf:settings", namespace="CELERY")
# By default, the database connection is closed after every task, which costs more than the task itself.
app.conf["CELERY_DB_REUSE_MAX"] = 10_000
app.autodiscover_tasks()
