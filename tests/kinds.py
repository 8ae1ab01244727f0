"""The kinds of tests: quick tests, and slow tests, whose marker says why they are slow.

A test without a slow marker is quick and may not start a process. The exception is the stand-in exchange: every worker
has one, which starts in half a second.
"""

import os
import sys
from collections import Counter
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

# pyproject.toml explains each.
SLOW = ("story", "rabbitmq", "browser", "big", "process")
# Parallel workers get the tests in this order, the longest first, and of each kind the largest groups first.
KINDS = (*SLOW, None)
# Tests that share servers, or would disturb each other by their load, run in the same worker. Two cores cannot carry
# several brokerages under load: none would start in time.
GROUPS = {"story": "stories", "rabbitmq": "stories", "browser": "browser"}
STARTS_A_PROCESS = {"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system"}
# Programs that set up a session, or make a PDF document in less than half a second.
ALLOWED = {"exchange.simulator", "pg_dump", "pg_restore", "web.pdf_maker"}

_running: pytest.Item | None = None


def slow_marker(item: pytest.Item) -> str | None:
    """Return the first of SLOW that the test is marked with; None for a quick test."""
    return next((name for name in SLOW if item.get_closest_marker(name)), None)


def group(item: pytest.Item) -> str:
    """Return the name of the group that one worker runs, one test after the other: a file, except for GROUPS."""
    return GROUPS.get(slow_marker(item) or "", f"{item.path.parent.name}/{item.path.stem}")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Run quick tests with one worker more than there are cores, because they spend a third of their time waiting."""
    return (os.cpu_count() or 1) + 1 if config.option.markexpr == "quick" else None


def pytest_configure() -> None:
    sys.addaudithook(_refuse_unannounced_processes)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Generator[None, None, None]:
    """Mark quick tests before `-m` selects, and order the tests for parallel workers after pytest-django has."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(group(item)))
        if slow_marker(item) is None:
            item.add_marker("quick")
    yield
    if hasattr(config, "workerinput"):
        sizes = Counter(map(group, items))
        items.sort(key=lambda item: (KINDS.index(slow_marker(item)), -sizes[group(item)]))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    global _running
    _running = item
    try:
        return (yield)
    finally:
        _running = None


def _refuse_unannounced_processes(event: str, arguments: tuple[Any, ...]) -> None:
    if event not in STARTS_A_PROCESS or _running is None or slow_marker(_running):
        return
    if event == "subprocess.Popen" and ALLOWED & {Path(str(word)).name for word in arguments[1]}:
        return
    raise RuntimeError(f"{_running.nodeid} starts a process ({event}): mark it with one of {', '.join(SLOW)}")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the figures that stories have recorded."""
    reports = [*terminalreporter.stats.get("passed", []), *terminalreporter.stats.get("failed", [])]
    lines = [
        line
        for report in reports
        if report.when == "call"
        for name, line in report.user_properties
        if name == "figures"
    ]
    if lines:
        terminalreporter.section("stories")
        for line in lines:
            terminalreporter.write_line(line)
