"""Which tests are quick: those that carry none of the markers below, and start no process of their own.

The stand-in exchange is the exception: every worker has one, started once in half a second.
"""

import sys
from collections.abc import Generator
from typing import Any

import pytest

SLOW = ("process", "story", "browser", "rabbitmq", "big")  # pyproject.toml says what each means
STARTS_A_PROCESS = {"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system"}
ALLOWED = "exchange.simulator"

_running: pytest.Item | None = None


def pytest_configure() -> None:
    sys.addaudithook(_refuse_unannounced_processes)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as quick what is not slow, before `-m` selects."""
    for item in items:
        if not any(item.get_closest_marker(name) for name in SLOW):
            item.add_marker("quick")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    global _running
    _running = item
    try:
        return (yield)
    finally:
        _running = None


def _refuse_unannounced_processes(event: str, arguments: tuple[Any, ...]) -> None:
    if event not in STARTS_A_PROCESS or _running is None or not _running.get_closest_marker("quick"):
        return
    if event == "subprocess.Popen" and ALLOWED in map(str, arguments[1]):
        return
    raise RuntimeError(f"{_running.nodeid} starts a process ({event}): mark it with one of {', '.join(SLOW)}")
