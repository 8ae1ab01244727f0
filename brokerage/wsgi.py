"""What the web server calls."""

import gc
import os
from typing import Any

from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.core.wsgi import get_wsgi_application
from django.utils.http import parse_header_parameters

from brokerage.local.lifeline import MARK, die_with_parent

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "brokerage.settings")
if MARK in os.environ:
    # Under `make run` a worker of the web server must not outlive the process that started it.
    die_with_parent()


class Utf8Request(WSGIRequest):
    """A request whose text is UTF-8, whatever charset it claims: there are some that no text can be read in, and Django
    would fail on them before any middleware."""

    def _set_content_type_params(self, meta: dict[str, Any]) -> None:
        self.content_type, self.content_params = parse_header_parameters(meta.get("CONTENT_TYPE", ""))


application: WSGIHandler = get_wsgi_application()
application.request_class = Utf8Request
# What is loaded by now stays: the collector need not look at it again and again.
gc.collect()
gc.freeze()
