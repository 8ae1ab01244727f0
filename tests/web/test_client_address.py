"""The address of a client, which we find as Django REST framework does."""

from typing import Any

import pytest
from django.test import RequestFactory
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from web.client_address import client_address


@pytest.mark.parametrize("proxies", [0, 1, 2, 3])
@pytest.mark.parametrize(
    "forwarded", [None, "", "10.0.0.1", "10.0.0.1, 10.0.0.2", "10.0.0.1,10.0.0.2 , 2001:db8::1", " , ", "x"]
)
@pytest.mark.parametrize("peer", ["127.0.0.1", "::1", ""])
def test_it_is_the_one_that_the_framework_finds(proxies: int, forwarded: str | None, peer: str, settings: Any) -> None:
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "NUM_PROXIES": proxies}
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    request = RequestFactory().get("/", headers=headers, REMOTE_ADDR=peer)
    expected = BaseThrottle().get_ident(request)  # type: ignore[arg-type]
    assert client_address(request) == client_address(Request(request)) == expected
