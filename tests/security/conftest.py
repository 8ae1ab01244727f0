"""Fixtures shared by the security tests."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local import ports
from local.harness import FRUGAL, Brokerage
from local.ports import LOOPBACK
from tests.security.balancer import Balancer

STRANGERS_A_MINUTE = 30


@pytest.fixture(autouse=True)
def _plain_static_file_names(settings: Any) -> None:
    """Use the plain names of static files, because none were collected."""
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = settings.STORAGES | {"staticfiles": plain}


@pytest.fixture(scope="package")
def site() -> Iterator[tuple[Brokerage, int]]:
    """Run one brokerage, which trusts a balancer at this port, for all tests of bad clients; return both."""
    folder, port = Path(tempfile.mkdtemp(prefix="brokerage-balancer-")), ports.choose()
    url = f"http://{LOOPBACK}:{port}"
    settings = {
        **FRUGAL,
        "NUM_PROXIES": "1",
        "TRUSTED_PROXY_COUNT": "1",
        "CALLBACK_URL": f"{url}/exchange/callbacks",
        "STREAM_URL": url,
        "STRANGERS_A_MINUTE": str(STRANGERS_A_MINUTE),
        "DOCUMENTS_A_MINUTE": "1000",
    }
    try:
        with Brokerage(folder / "var", {"web": 2, "lanes": 1, "sweep": 1}, settings) as brokerage:
            yield brokerage, port
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def brokerage(site: tuple[Brokerage, int]) -> Brokerage:
    """Provide the brokerage once every process answers, because tests of other modules kill some."""
    brokerage, _ = site
    brokerage.wait_ready()
    return brokerage


@pytest.fixture(scope="module")
def balancer(brokerage: Brokerage, site: tuple[Brokerage, int], request: pytest.FixtureRequest) -> Iterator[Balancer]:
    """Run the balancer in front of it; a module can set variables of haproxy.cfg with BALANCER."""
    _, port = site
    balancer = Balancer(brokerage.data_dir.parent, port, **getattr(request.module, "BALANCER", {}))
    try:
        web = [address.removeprefix("http://") for address in brokerage.web_urls]
        balancer.start(web, brokerage.health_port, f"{LOOPBACK}:{brokerage.stream_port}")
        yield balancer
    finally:
        balancer.stop()
