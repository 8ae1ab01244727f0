"""`manage.py demo_code`"""

import time
from typing import Any

from allauth.mfa import app_settings
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.core.management.base import BaseCommand

from accounts.management.commands.load_demo import SECOND_FACTOR


class Command(BaseCommand):
    help = "Print the demo staff member's current two-factor code. A real one comes from a phone."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(format_hotp_value(hotp_value(SECOND_FACTOR, int(time.time()) // app_settings.TOTP_PERIOD)))
