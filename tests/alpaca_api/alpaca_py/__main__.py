"""`python -m tests.alpaca_api.alpaca_py`: write docs/reference/alpaca-py.md."""

import os

import django

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()

    from tests.alpaca_api.alpaca_py.page import PATH, page

    PATH.write_text(page())
