"""A program of a node is started again, whatever made a start fail."""

import shutil
import time
from pathlib import Path

import pytest

from cluster.nodes import Node
from cluster.programs import Program
from cluster.supervision import Running

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(shutil.which("ip") is None or shutil.which("setpriv") is None, reason="needs ip and setpriv"),
]


def test_a_program_is_started_again_although_its_log_could_not_be_opened(tmp_path: Path) -> None:
    node = Node("nowhere", "web", "10.77.0.250")  # it has no namespace, so each start fails, and its end, too
    running = Running(node, Program("nothing", ["true"], {}), tmp_path / "missing" / "nothing.log")
    time.sleep(0.5)
    assert running.starts == 0
    (tmp_path / "missing").mkdir()
    ends_at = time.monotonic() + 60
    while running.starts < 2:
        assert time.monotonic() < ends_at
        time.sleep(0.1)
    running.stop()
