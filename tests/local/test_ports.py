"""A port that another process releases in a moment may be used; one that it keeps may not."""

import socket
import threading

import pytest

from local import plan, ports
from local.errors import UserError


def check_ports(held_seconds: float) -> None:
    """Check the ports of a plan while a server listens on one of them for so many seconds."""
    first = ports.choose(3)
    environment = {"PORT": str(first), "EXCHANGE_PORT": str(first + 1), "STREAM_PORT": str(first + 2)}
    server = socket.create_server(("127.0.0.1", first))
    release = threading.Timer(held_seconds, server.close)
    release.start()
    try:
        plan.read(environment, plan.PROJECT).check_ports()
    finally:
        release.cancel()
        server.close()


def test_a_port_of_a_process_that_is_ending_is_waited_for() -> None:
    check_ports(held_seconds=0.3)


def test_each_web_has_a_health_port_of_its_own_if_one_is_set() -> None:
    def ports_of_webs(**environment: str) -> list[dict[str, int]]:
        processes = plan.read({"SCALE": "web=2", **environment}, plan.PROJECT).processes
        return [process.ports for process in processes if process.type == "web"]

    assert ports_of_webs(HEALTH_PORT="8300") == [
        {"PORT": 8000, "HEALTH_PORT": 8300},
        {"PORT": 8001, "HEALTH_PORT": 8301},
    ]
    assert ports_of_webs(HEALTH_PORT="0") == ports_of_webs() == [{"PORT": 8000}, {"PORT": 8001}]
    with pytest.raises(UserError, match=r"web\.2 and web\.1 would both listen on 8001: set another PORT"):
        plan.read({"SCALE": "web=2", "HEALTH_PORT": "8001"}, plan.PROJECT).check_ports()


def test_a_port_of_another_program_is_refused() -> None:
    with pytest.raises(UserError, match="is in use by another program"):
        check_ports(held_seconds=60)
