"""`manage.py lanes`: a worker that serves every lane. Any number of them may run."""

import gc
import warnings
from typing import Any

from celery.exceptions import SecurityWarning
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from brokerage.celery import app

NO_CALLBACK_URL = (
    "CALLBACK_URL is not set: the exchange must know where to post its reports, "
    "such as https://broker.example.com/exchange/callbacks."
)


class Command(BaseCommand):
    help = "Serve the lanes until SIGTERM."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.CALLBACK_URL:
            raise CommandError(NO_CALLBACK_URL)
        # Celery warns of root because of pickle, which we do not accept.
        warnings.simplefilter("ignore", SecurityWarning)
        gc.freeze()
        app.worker_main(
            [
                "--quiet",
                "worker",
                # One turn at a time: a turn is a set, and a larger set is cheaper than two at once. Nothing is forked.
                "--pool=solo",
                f"--hostname={settings.PROCESS_NAME}@%h",
                f"--loglevel={settings.LOGGING['level']}",
                # Workers need not know of each other: rows and locks keep them apart.
                "--without-gossip",
                "--without-mingle",
            ]
        )
