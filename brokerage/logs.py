"""Logs: one line per event, as text for people (LOG_FORMAT=text) or JSON for machines (LOG_FORMAT=json)."""

import logging
import logging.config
import os
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

QUOTED = re.compile("[ \t=\r\n\"']")  # characters of a value that is shown with quotes
LEVEL_WIDTH = len("critical") + 1

# structlog makes a variable when its name is first bound. Two threads that did so at once would each make one, and one
# of their requests would end with an error, after it had done its work. So it is made now, before there are threads.
structlog.contextvars.reset_contextvars(**structlog.contextvars.bind_contextvars(request=""))


def plain_line(_logger: object, _method: str, event: MutableMapping[str, Any]) -> str:
    """Return a line as structlog's ConsoleRenderer writes it without colors.

    Every placing writes a line, and the ConsoleRenderer would take a tenth of the placing's CPU time.
    """
    exception = event.pop("exception", "")
    head = f"{event.pop('timestamp')} [{event.pop('level'):<{LEVEL_WIDTH}}] {event.pop('event')}"
    pairs = "".join([f" {name}={_shown(event[name])}" for name in sorted(event)])
    return f"{head}{pairs}\n{exception}" if exception else f"{head}{pairs}"


def _shown(value: Any) -> str:
    return value if isinstance(value, str) and not QUOTED.search(value) else repr(value)


def configure(levels: dict[str, str]) -> None:
    """Send every log line of the process to standard output. Replaces the earlier configuration.

    Args:
        levels: {"level": the name of a level, "format": "text" or "json"}
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso" if levels["format"] == "json" else "%H:%M:%S", utc=True),
        structlog.processors.format_exc_info,
    ]
    if os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        from brokerage.tracing import to_endpoint

        shared.append(to_endpoint(os.environ.get("PROCESS_NAME", "manage")))
    if levels["format"] == "json":
        renderer: Any = structlog.processors.JSONRenderer()
    else:
        uses_colors = sys.stdout.isatty() or os.environ.get("FORCE_COLOR", "") != ""
        uses_colors = uses_colors and not os.environ.get("NO_COLOR")
        renderer = structlog.dev.ConsoleRenderer(pad_event_to=0) if uses_colors else plain_line
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "line": {
                    "()": structlog.stdlib.ProcessorFormatter,
                    "foreign_pre_chain": shared,
                    "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
                }
            },
            "handlers": {"stdout": {"class": "logging.StreamHandler", "stream": sys.stdout, "formatter": "line"}},
            "root": {"handlers": ["stdout"], "level": levels["level"]},
            "loggers": {
                # A line for each message and each request would drown what matters.
                "celery.worker.strategy": {"level": "WARNING"},
                "celery.app.trace": {"level": "WARNING"},
                "django.request": {"level": "ERROR"},
                "django.security.DisallowedHost": {"level": "ERROR"},
            },
        }
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(levels["level"])),
        cache_logger_on_first_use=True,
    )
