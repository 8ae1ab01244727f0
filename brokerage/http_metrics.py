"""Count and time requests by method, route and status, over all workers of this web server.

Each worker is a process that writes its counters to a file in a shared folder; the worker that is scraped adds them up.
The file is mapped into memory, and the system kills a process that writes to a part of such a file for which a full
disk has no space. So the space is reserved first, and if there is none, requests are answered without being counted.
Nothing is counted by customer or by address, because a label with many values costs memory.
"""

import mmap
import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from django.http import HttpRequest, HttpResponse

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
VALUE_BYTES_MAX = 64  # of a value in its file, besides its key
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0)


def share_between_workers(data_dir: Path) -> None:
    """Let the workers of one web server count together. Call it before anything is counted.

    Also removes the folders of web servers that have ended.
    """
    own_folder = data_dir / "metrics" / str(os.getppid())
    own_folder.mkdir(parents=True, exist_ok=True)
    for folder in own_folder.parent.iterdir():
        if not (Path("/proc") / folder.name).exists() and Path("/proc").exists():
            shutil.rmtree(folder, ignore_errors=True)
    os.environ[FOLDER] = str(own_folder)
    from prometheus_client import values

    _reserve_space()
    values.ValueClass = values.get_value_class()  # it was chosen without the folder, if this was imported before


def _reserve_space() -> None:
    """Let prometheus_client reserve the space of its files before it writes to them. Else OSError is raised."""
    from prometheus_client import values
    from prometheus_client.mmap_dict import MmapedDict

    if not hasattr(os, "posix_fallocate"):  # macOS
        return

    class ReservedFile(MmapedDict):
        def __init__(self, filename: str) -> None:
            with open(filename, "ab") as file:
                try:
                    os.posix_fallocate(file.fileno(), 0, mmap.PAGESIZE)
                except OSError:
                    os.unlink(filename)  # an empty one can't be read
                    raise
            super().__init__(filename)

        def _init_value(self, key: str) -> None:
            os.posix_fallocate(self._f.fileno(), 0, self._used + len(key.encode()) + VALUE_BYTES_MAX)
            super()._init_value(key)

    values.MmapedDict = ReservedFile  # type: ignore[assignment, misc]


class HttpMetrics:
    """The outermost middleware: measures the time that all other middleware and the view take together."""

    seconds: Any  # a Histogram, shared by all lists of middleware

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        from prometheus_client import Histogram

        self._get_response = get_response
        with suppress(ValueError):  # another list of middleware has already created it
            HttpMetrics.seconds = Histogram(
                "brokerage_http_request_seconds",
                "Time to answer a request, by route and status.",
                ["method", "route", "status"],
                buckets=BUCKETS,
            )

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer the request, and count it."""
        began = time.perf_counter()
        response = self._get_response(request)
        match = request.resolver_match
        method = request.method if request.method in METHODS else "other"
        route = f"/{match.route}" if match else "none"
        with suppress(OSError):  # no space
            _seconds(method, route, response.status_code).observe(time.perf_counter() - began)
        return response


@cache
def _seconds(method: str, route: str, status: int) -> Any:
    """Return the part of the histogram with these labels. Finding it takes longer than counting."""
    return HttpMetrics.seconds.labels(method, route, status)


def render() -> bytes:
    """Return the counters of all workers in Prometheus' text format."""
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.multiprocess import MultiProcessCollector

    registry = CollectorRegistry()
    if FOLDER in os.environ:
        MultiProcessCollector(registry)
    else:
        registry.register(HttpMetrics.seconds)
    return generate_latest(registry)
