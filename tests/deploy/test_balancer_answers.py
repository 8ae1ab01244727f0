"""The balancer's own responses in deploy/haproxy.cfg have the format of the API that was called."""

import json
import re
from typing import Any

import pytest
from django.conf import settings

SECTIONS = {
    words[-1]: text
    for head, text in re.findall(
        r"^((?:global|defaults|frontend|backend).*)\n((?:(?!\w).*\n)*)",
        (settings.BASE_DIR / "deploy/haproxy.cfg").read_text(),
        re.MULTILINE,
    )
    if (words := head.split())
}
BODY = re.compile(r"http-(?:error|request return) status (\d+) content-type (\S+) string '(.*?)'(.*)")
# The statuses that the balancer may send itself: unreadable request, nothing at this address, too slow, too large, too
# many requests, its own failure, and failures of the servers behind it.
OWN_STATUSES = {400, 404, 408, 413, 429, 431, 500, 502, 503, 504}
PATH_UNKNOWN, ONLY_OUR_API = {400}, {404}


def responses(*sections: str, of_alpaca: bool) -> dict[int, tuple[str, dict[str, Any]]]:
    """Return the responses that have a body, by status: the content type and the body."""
    bodies = BODY.findall("".join(SECTIONS[section] for section in sections))
    return {
        int(status): (content_type, json.loads(body))
        for status, content_type, body, condition in bodies
        if of_alpaca == ("path_alpaca" in condition or sections == ("alpaca",))
    }


def test_each_response_of_the_balancer_has_a_body() -> None:
    ours = responses("defaults", "customers", of_alpaca=False)
    alpaca = responses("customers", of_alpaca=True) | responses("alpaca", of_alpaca=True)
    assert ours.keys() == OWN_STATUSES
    assert alpaca.keys() == OWN_STATUSES - PATH_UNKNOWN - ONLY_OUR_API
    denied = re.findall(r"http-request (?:deny|return) status (\d+)", "".join(SECTIONS.values()))
    assert set(map(int, denied)) <= OWN_STATUSES
    rules = re.findall(r"http-request deny status \d+ (.*)", "".join(SECTIONS.values()))
    assert all(rule.startswith("default-errorfiles ") for rule in rules), "otherwise the body would be empty"


def test_bodies_for_our_api_are_problems() -> None:
    for status, (content_type, body) in responses("defaults", "customers", of_alpaca=False).items():
        assert content_type == "application/problem+json"
        assert body.keys() == {"type", "title", "status", "detail", "code", "errors"}
        assert body["type"] == f"/api/errors/#{body['code']}"
        assert body["status"] == (502 if status == 504 else status)
        assert body["errors"] == []


@pytest.mark.parametrize("section", ["customers", "alpaca"])
def test_bodies_for_the_alpaca_compatible_api_have_its_format(section: str) -> None:
    for status, (content_type, body) in responses(section, of_alpaca=True).items():
        assert content_type == "application/json"
        assert body.keys() == {"code", "message"}
        assert body["code"] // 100_000 == (502 if status == 504 else status)
