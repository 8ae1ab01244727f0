"""`manage.py lanes`: a worker that serves every lane. Any number of them may run."""

import gc
import warnings
from typing import Any

from celery.exceptions import SecurityWarning
from django.conf import settings
from django.core.management.base import BaseCommand

from brokerage.celery import app, transport_options


class Command(BaseCommand):
    help = "Serve the lanes until SIGTERM."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        app.conf.broker_transport_options = transport_options(for_worker=True)
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
                "--without-heartbeat",
            ]
        )
