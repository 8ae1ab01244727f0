"""The Celery app, as Celery's guide for Django has it."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "plain.settings")

app = Celery("plain")
app.config_from_object("django.conf:settings", namespace="CELERY")
# By default the database's connection is closed around every task, which costs more than the task.
app.conf["CELERY_DB_REUSE_MAX"] = 10_000
app.autodiscover_tasks()
