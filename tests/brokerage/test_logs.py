"""Plain log lines look like those of structlog's own renderer."""

from typing import Any

import pytest
from structlog.dev import ConsoleRenderer

from brokerage.logs import plain_line


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"trades": ["01a21d0e-a8da-73b6-8106-d55403de356d"], "customer": 51, "by": "api", "request": "r"},
        {
            "error": "OperationalError('gone')",
            "path": "/a b",
            "empty": "",
            "equal": "a=b",
            "line": "a\nb",
            "tab": "a\tb",
        },
        {"none": None, "price": 1.5, "quoted": '"', "apostrophe": "it's", "letters": "Zoë ✓", "map": {"a": "b c"}},
        {"exception": "Traceback\n  ValueError: x", "b": 1},
    ],
)
@pytest.mark.parametrize("level", ["debug", "info", "warning", "error", "critical"])
def test_a_plain_line_is_the_one_of_the_console_renderer(level: str, more: dict[str, Any]) -> None:
    event = {"timestamp": "12:50:29", "level": level, "event": "placed two, with a comma"} | more
    assert plain_line(None, level, event.copy()) == ConsoleRenderer(colors=False, pad_event_to=0)(None, level, event)
