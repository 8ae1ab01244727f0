"""`manage.py delete_old`"""

from typing import Any

from django.core.management.base import BaseCommand

from office.retention import delete_old


class Command(BaseCommand):
    help = "Delete old calls to the exchange and old sign-ins. The sweep does this every hour."

    def handle(self, *args: Any, **options: Any) -> None:
        while True:
            deleted = delete_old()
            self.stdout.write(f"{deleted.calls} calls and {deleted.sign_ins} sign-ins deleted")
            if deleted.all_done:
                return
