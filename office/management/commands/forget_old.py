"""`manage.py forget_old`"""

from typing import Any

from django.core.management.base import BaseCommand

from office.retention import forget


class Command(BaseCommand):
    help = "Delete calls to the exchange and sign-ins that are older than they are kept. The sweep does it every hour."

    def handle(self, *args: Any, **options: Any) -> None:
        while True:
            found = forget()
            self.stdout.write(f"{found.calls} calls, {found.sign_ins} sign-ins")
            if found.all_done:
                return
