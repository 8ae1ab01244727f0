"""`manage.py set_up`: prepare the database before processes start on it, in one command."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser


class Command(BaseCommand):
    """Runs `migrate` and `build_lots`, and with `--demo` also `load_fee_rates` and `load_demo`.

    Each of these can be run alone; together they take one start of Python. Running it again changes nothing.
    """

    help = "Migrate the database and build the lots of older trades; with --demo, load example fees and demo accounts."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--demo", action="store_true", help="Load example fees and demo accounts, too.")
        parser.add_argument("--json", action="store_true", help="Print one JSON object: the demo accounts and seconds.")

    def handle(self, *_: Any, **options: Any) -> None:
        """Run the commands in order: no trade may be settled before there are fees and lots."""
        self.seconds: dict[str, float] = {}
        demo = StringIO()
        with self._step("Database migrated"):
            call_command("migrate", interactive=False, stdout=self.stderr, stderr=self.stderr)
        with self._step("Lots of older trades built"):
            call_command("build_lots", stdout=self.stderr, stderr=self.stderr)
        if options["demo"]:
            with self._step("Demo data loaded"):
                call_command("load_fee_rates", stdout=self.stderr, stderr=self.stderr)
                call_command("load_demo", "--json", stdout=demo, stderr=self.stderr)
        if options["json"]:
            created = json.loads(demo.getvalue() or "{}")
            self.stdout.write(json.dumps({"demo": created, "seconds": self.seconds}))

    @contextmanager
    def _step(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - began, 1)
        self.stderr.write(f"{name} ({self.seconds[name]} s)")
