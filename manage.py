#!/usr/bin/env python
"""Django's command line. Without DATABASE_URL it finds the brokerage that runs on DATA_DIR."""

import os
import sys

from local.environment import NotRunning


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "brokerage.settings")
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(sys.argv)
    except (NotRunning, ImproperlyConfigured) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
