"""A project of dummy processes, so that these tests concern running processes rather than their work."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from local.harness import Brokerage

PROCFILE = """\
web: python listen.py $PORT
lanes: python wait.py
sweep: python wait.py
exchange: env -u BIND python listen.py $EXCHANGE_PORT
"""
LISTEN = """\
import http.server, os, subprocess, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(str(os.getpid()).encode())

    def log_message(self, *arguments):
        pass

helper = subprocess.Popen(["sleep", "1000"], start_new_session=True)
print("helper", helper.pid, flush=True)
http.server.ThreadingHTTPServer((os.environ.get("BIND", "127.0.0.1"), int(sys.argv[1])), Handler).serve_forever()
"""
WAIT = """\
import time

print("waiting", flush=True)
time.sleep(1000)
"""


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    (folder / "Procfile").write_text(PROCFILE)
    (folder / "listen.py").write_text(LISTEN)
    (folder / "wait.py").write_text(WAIT)
    return folder


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """Return a folder that other users can always enter: if root runs these tests, PostgreSQL runs as another user, and
    pytest closes its own temporary folders to other users whenever another pytest starts."""
    folder = Path(tempfile.mkdtemp(prefix="brokerage-test-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def brokerage(project: Path, tmp_path: Path) -> Iterator[Callable[..., Brokerage]]:
    """Create brokerages of dummy processes that aren't started yet; stop them at the end."""
    brokerages: list[Brokerage] = []

    def make(data_dir: Path | None = None, procfile: str | None = None, **arguments: Any) -> Brokerage:
        folder = project
        if procfile is not None:
            folder = tmp_path / "other-project"
            folder.mkdir()
            (folder / "Procfile").write_text(procfile)
        environment = {"PROCFILE": str(folder / "Procfile"), **arguments.pop("env", {})}
        brokerages.append(Brokerage(data_dir or tmp_path / "var", env=environment, is_prepared=False, **arguments))
        return brokerages[-1]

    yield make
    for created in brokerages:
        created.stop()
