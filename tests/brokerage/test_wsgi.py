"""What the web server calls, with requests that Django would fail on before any middleware."""

import json
from typing import Any

import pytest
from django.test import RequestFactory

from brokerage.wsgi import application


@pytest.mark.parametrize("charset", ["base64", "zlib", "no-such", "utf-7", ""])
def test_a_claimed_charset_is_not_believed(charset: str) -> None:
    environ = RequestFactory().get("/healthz?a=%C3%A9").environ | {"CONTENT_TYPE": f"text/plain; charset={charset}"}
    answered: list[Any] = []
    environ["SERVER_NAME"] = "localhost"
    body = b"".join(application(environ, lambda status, *_: answered.append(status)))  # type: ignore[arg-type]
    assert answered == ["200 OK"]
    assert json.loads(body) == {"ok": True}
