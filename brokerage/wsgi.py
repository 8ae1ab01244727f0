"""What the web server calls."""

import os

from django.core.wsgi import get_wsgi_application

from brokerage.local.lifeline import MARK, die_with_parent

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "brokerage.settings")
if MARK in os.environ:
    # Under `make run` a worker of the web server must not outlive the process that started it.
    die_with_parent()
application = get_wsgi_application()
