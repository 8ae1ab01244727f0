"""With a DSN, errors are reported to Sentry, without customers' data."""

import gzip
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from django.conf import settings

FAILS = """
import django
django.setup()
import sentry_sdk
try:
    cash = 4711
    raise ValueError("it went wrong")
except ValueError as error:
    sentry_sdk.capture_exception(error)
sentry_sdk.flush(5)
"""


@pytest.mark.process
def test_an_error_is_reported_without_local_variables() -> None:
    received: list[bytes] = []

    class Sentry(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Sentry) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        env = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "brokerage.settings",
            "SENTRY_DSN": f"http://key@127.0.0.1:{server.server_address[1]}/1",
        }
        process = subprocess.run(
            [sys.executable, "-c", FAILS], cwd=settings.BASE_DIR, env=env, capture_output=True, text=True
        )
        server.shutdown()
    assert process.returncode == 0, process.stderr
    assert any(b"it went wrong" in body for body in received)
    assert not any(b'"vars"' in body for body in received)
