"""`manage.py check_audit_log`"""

import sys
from typing import Any

from django.core.management.base import BaseCommand

from office.audit import check


class Command(BaseCommand):
    help = "Check the chain of the audit log: exit 0 if it is intact, 1 if not. Write the head down elsewhere."

    def handle(self, *args: Any, **options: Any) -> None:
        found = check()
        for line in found.wrong:
            self.stdout.write(line)
        self.stdout.write(f"{found.entries} entries, {'whole' if not found.wrong else 'BROKEN'}, head {found.head}")
        if found.wrong:
            sys.exit(1)
