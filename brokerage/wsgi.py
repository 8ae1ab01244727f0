"""What the web server calls."""

import gc
import os
from collections.abc import Callable, Iterable
from typing import Any

import django
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.utils.http import parse_header_parameters

from brokerage.http_metrics import share_between_workers
from local.lifeline import MARK, die_with_parent

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "brokerage.settings")
if MARK in os.environ:
    # Under `make run` a worker of the web server must not outlive the process that started it.
    die_with_parent()


class Utf8Request(WSGIRequest):
    """A request whose text is UTF-8, whatever charset it claims: there are some that no text can be read in, and Django
    would fail on them before any middleware."""

    def _set_content_type_params(self, meta: dict[str, Any]) -> None:
        self.content_type, self.content_params = parse_header_parameters(meta.get("CONTENT_TYPE", ""))


class Door(WSGIHandler):
    """Django, behind this middleware."""

    request_class = Utf8Request

    def __init__(self, middleware: list[str]) -> None:
        self._names = middleware
        super().__init__()

    def load_middleware(self, is_async: bool = False) -> None:
        """As Django does, of this door's list."""
        everybodys, settings.MIDDLEWARE = settings.MIDDLEWARE, self._names
        try:
            super().load_middleware(is_async)
        finally:
            settings.MIDDLEWARE = everybodys


share_between_workers(settings.DATA_DIR)
django.setup(set_prefix=False)
people = Door(settings.MIDDLEWARE)
programs = Door(settings.PROGRAM_MIDDLEWARE)  # who have no use for sessions, messages, compression and the like
# What is loaded by now stays: the collector need not look at it again and again.
gc.collect()
gc.freeze()


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer one request."""
    door = programs if environ["PATH_INFO"].startswith(settings.PROGRAM_PATHS) else people
    return door(environ, start_response)
