"""What the server of event streams calls."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "brokerage.settings")
django.setup()

from brokerage.stream import Streams  # noqa: E402 — settings come first

application = Streams()
