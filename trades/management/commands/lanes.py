"""`manage.py lanes`: run a worker that serves every lane. Any number of them may run."""

import gc
import warnings
from typing import Any

from celery.exceptions import SecurityWarning
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connection

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
        look_up_in_indexes()
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


def look_up_in_indexes() -> None:
    """Let this process read tables through indexes only, wherever there is an index.

    A turn looks up rows of a few customers. When tables grow fast, as on the first day or at an opening, PostgreSQL's
    statistics may still say that they are empty. It would then scan whole tables, once for each trade of the turn, and
    keep that plan until the next ANALYZE. With a pooler in between, sessions are not ours to configure.
    """
    if not settings.POOLED:
        connection.close()
        connection.settings_dict["OPTIONS"]["options"] += " -c enable_seqscan=off"
