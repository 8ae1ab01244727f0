"""`manage.py lanes`: run a worker that serves every lane. Any number of them may run."""

import gc
import warnings
from typing import Any

from celery.exceptions import SecurityWarning
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from brokerage.celery import app

NO_CALLBACK_URL = (
    "CALLBACK_URL is not set. The exchange must know where to post its reports, "
    "such as https://broker.example.com/exchange/callbacks."
)


class Command(BaseCommand):
    help = "Serve the lanes until SIGTERM."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.CALLBACK_URL:
            raise CommandError(NO_CALLBACK_URL)
        # Celery warns about running as root because of pickle, which we do not accept.
        warnings.simplefilter("ignore", SecurityWarning)
        gc.freeze()
        app.worker_main(
            [
                "--quiet",
                "worker",
                # One turn at a time and no forks: one turn with a larger set is cheaper than two at once.
                "--pool=solo",
                f"--hostname={settings.PROCESS_NAME}@%h",
                f"--loglevel={settings.LOGGING['level']}",
                # Workers don't need to know each other, because rows and locks keep them apart.
                "--without-gossip",
                "--without-mingle",
            ]
        )
