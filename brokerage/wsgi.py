"""The WSGI application that the web server calls."""

import gc
import io
import os
import sys
from collections.abc import Callable
from typing import Any

import django
from django.conf import settings
from django.contrib.auth import get_backends
from django.core.cache import close_caches
from django.core.exceptions import ImproperlyConfigured
from django.core.handlers.base import reset_urlconf
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, reset_queries
from django.template import Engine
from django.template.loader import get_template
from django.urls import get_resolver, reverse
from django.utils.formats import get_format
from django.utils.http import parse_header_parameters
from django.utils.module_loading import import_string

from brokerage.health_port import HealthServer
from brokerage.http_metrics import share_between_workers
from local.environment import NotRunning
from local.launcher import MARK, die_with_parent

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "brokerage.settings")
if MARK in os.environ:
    # Under `make run` a worker of the web server must not outlive the process that started it.
    die_with_parent()


class Utf8Request(WSGIRequest):
    """A request whose text is UTF-8, whatever charset it claims.

    Python knows charsets that can't decode text, and Django would fail on them before any middleware runs.
    """

    def _set_content_type_params(self, meta: dict[str, Any]) -> None:
        self.content_type, self.content_params = parse_header_parameters(meta.get("CONTENT_TYPE", ""))

    def close(self) -> None:
        """Let go of all that middleware has tied to the request, because much of it refers to the request.

        Otherwise it would stay until Python's garbage collector looks for it, which stops all threads meanwhile.
        """
        super().close()
        vars(self).clear()


class Door(WSGIHandler):
    """Django with its own list of middleware."""

    request_class = Utf8Request

    def __init__(self, middleware: list[str]) -> None:
        self._names = middleware
        super().__init__()

    def load_middleware(self, is_async: bool = False) -> None:
        """Load this door's list, as Django loads MIDDLEWARE."""
        default_middleware, settings.MIDDLEWARE = settings.MIDDLEWARE, self._names
        try:
            super().load_middleware(is_async)
        finally:
            settings.MIDDLEWARE = default_middleware


def _prepare() -> None:
    from web import problems
    from web.authentication import token_store

    problems.table()
    token_store().note_uses_later()
    for door in (get_resolver(), *get_resolver().url_patterns):
        getattr(door, "url_patterns", None)
    reverse("home")
    get_backends()
    get_format("DECIMAL_SEPARATOR")
    import_string(settings.MESSAGE_STORAGE)
    _ = Engine.get_default().template_context_processors
    for path in (settings.BASE_DIR / "templates").rglob("*.html"):
        get_template(str(path.relative_to(settings.BASE_DIR / "templates")))


try:
    share_between_workers(settings.DATA_DIR)
    django.setup(set_prefix=False)
except (ImproperlyConfigured, NotRunning) as error:
    sys.exit(f"error: {error}")
people = Door(settings.MIDDLEWARE)
programs = Door(settings.PROGRAM_MIDDLEWARE)  # programs don't need sessions, messages, compression and the like
probes = Door(settings.PROBE_MIDDLEWARE)
# A page is computed for tens of milliseconds. Placing a trade takes the interpreter's lock a few times, and would wait
# for Python's default of 5 ms each time.
sys.setswitchinterval(0.0005)
# After each request, Django closes a connection that can't be used any more. Before each request it does so once more,
# and empties the list of queries that only DEBUG fills; and afterwards it closes caches that need no closing, and
# forgets the URLs, which it sets again before each request. That took over a twentieth of what a placing costs here.
request_started.disconnect(close_old_connections)
request_finished.disconnect(close_caches)
request_finished.disconnect(reset_urlconf)
if not settings.DEBUG:
    request_started.disconnect(reset_queries)
# Load now what the first requests, pages and refusals would load: an import holds up all requests of the process. That
# of the lists of leaked passwords takes a third of a second. From now on, uses of tokens are noted together.
_prepare()
# Everything loaded so far stays, so the garbage collector need not scan it again and again.
gc.collect()
gc.freeze()


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Answer one request with a complete response.

    The web server sends a list without occupying one of our threads. It would read any other iterable only as fast as
    the client reads, and a client that doesn't read would keep the thread: 20 of them stopped all requests. So code
    that makes a response must bound its size.
    """
    if "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower():
        _read_chunks(environ)
    answer = _door_of(environ["PATH_INFO"])(environ, start_response)
    try:
        return [b"".join(answer)]
    finally:
        if hasattr(answer, "close"):
            answer.close()


def health(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
    """Answer a request at HEALTH_PORT, which has only the paths of health checks and metrics."""
    if environ["PATH_INFO"] in settings.PROBE_PATHS:
        return probes(environ, start_response)
    start_response("404 Not Found", [("Content-Length", "0")])
    return []


def _door_of(path: str) -> Door:
    if path.startswith(settings.PROGRAM_PATHS):
        return programs
    return probes if path in settings.PROBE_PATHS else people


def _read_chunks(environ: dict[str, Any]) -> None:
    """Read a chunked body and set its length, by which Django reads it. A body that is too long stays too long."""
    body = environ["wsgi.input"].read(settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1)
    environ.update({"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))})


if settings.HEALTH_PORT:
    try:
        HealthServer(settings.BIND, settings.HEALTH_PORT, health).start()
    except OSError as error:
        sys.exit(f"error: HEALTH_PORT is {settings.HEALTH_PORT}, but this process can't listen there: {error.strerror}")
