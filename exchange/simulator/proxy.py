"""The answers of a proxy between the broker and the exchange: a page, half of an answer, or none."""

from __future__ import annotations

import json
from email.utils import formatdate
from uuid import uuid4

from exchange.simulator.http_server import Response

_PAGES = {
    "html404": (404, "404 Not Found"),
    "html502": (502, "502 Bad Gateway"),
    "html200": (200, "We'll be back soon"),
}


def proxy_answer(kind: str, genuine: Response | None) -> Response | None:
    """Return the answer of a proxy. None closes the connection.

    Args:
        kind: One of `faults.PROXY_ANSWERS`.
        genuine: The exchange's answer, if the proxy has forwarded the call.
    """
    if kind in _PAGES:
        status, title = _PAGES[kind]
        page = f"<html><head><title>{title}</title></head><body><h1>{title}</h1><hr>nginx/1.27.3</body></html>"
        return _answer(status, "text/html", page)
    if kind == "json404":
        return _answer(404, "application/json", json.dumps({"message": "no Route matched with those values"}))
    if kind == "otherTrade404":
        not_found = {
            "status": 404,
            "code": "not_found",
            "detail": "the exchange does not know this trade",
            "errors": [],
        }
        return _answer(404, "application/json", json.dumps(not_found | {"tradeId": str(uuid4())}))
    if kind == "empty200":
        return _answer(200, "application/json", "")
    if kind == "cutBody":
        complete = genuine or _answer(200, "application/json", json.dumps({"results": [], "next": None}))
        complete.cut_after_bytes = len(complete.body) // 2
        return complete
    if kind == "notHttp":
        return Response(200, [], b"", raw=b"SSH-2.0-OpenSSH_9.6\r\n")
    return None


def _answer(status: int, content_type: str, body: str) -> Response:
    headers = [("server", "nginx/1.27.3"), ("date", formatdate(usegmt=True)), ("content-type", content_type)]
    return Response(status, headers, body.encode())
