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
# What it may say: it could not read the request, there is nothing there, the request is too slow or too large, there
# are too many, it failed itself, or the servers behind it did.
ITS_OWN = {400, 404, 408, 413, 429, 431, 500, 502, 503, 504}
BEFORE_THE_PATH_IS_KNOWN, OF_OURS_ALONE = {400}, {404}


def answers(*sections: str, of_alpaca: bool) -> dict[int, tuple[str, dict[str, Any]]]:
    """Return the responses that have a body, by status: the content type and the body."""
    found = BODY.findall("".join(SECTIONS[section] for section in sections))
    return {
        int(status): (kind, json.loads(body))
        for status, kind, body, condition in found
        if of_alpaca == ("path_alpaca" in condition or sections == ("alpaca",))
    }


def test_each_of_its_answers_has_a_body() -> None:
    ours = answers("defaults", "customers", of_alpaca=False)
    alpacas = answers("customers", of_alpaca=True) | answers("alpaca", of_alpaca=True)
    assert ours.keys() == ITS_OWN
    assert alpacas.keys() == ITS_OWN - BEFORE_THE_PATH_IS_KNOWN - OF_OURS_ALONE
    refused = re.findall(r"http-request (?:deny|return) status (\d+)", "".join(SECTIONS.values()))
    assert set(map(int, refused)) <= ITS_OWN
    refusals = re.findall(r"http-request deny status \d+ (.*)", "".join(SECTIONS.values()))
    assert all(refusal.startswith("default-errorfiles ") for refusal in refusals), "else the body is empty"


def test_bodies_for_our_api_are_problems() -> None:
    for status, (kind, body) in answers("defaults", "customers", of_alpaca=False).items():
        assert kind == "application/problem+json"
        assert body.keys() == {"type", "title", "status", "detail", "code", "errors"}
        assert body["type"] == f"/api/errors/#{body['code']}"
        assert body["status"] == (502 if status == 504 else status)
        assert body["errors"] == []


@pytest.mark.parametrize("section", ["customers", "alpaca"])
def test_bodies_for_the_alpaca_compatible_api_are_of_that_apis(section: str) -> None:
    for status, (kind, body) in answers(section, of_alpaca=True).items():
        assert kind == "application/json"
        assert body.keys() == {"code", "message"}
        assert body["code"] // 100_000 == (502 if status == 504 else status)
