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


def test_a_port_of_another_program_is_refused() -> None:
    with pytest.raises(UserError, match="is in use by another program"):
        check_ports(held_seconds=60)
