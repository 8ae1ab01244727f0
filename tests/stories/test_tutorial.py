"""The tutorial of the API, walked through as it is written: every command is run and every answer compared."""

import json
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.harness import Brokerage

pytestmark = pytest.mark.story

PAGE = Path(__file__).parents[2] / "docs/tutorial/first-trade-by-api.md"
STEP = re.compile(
    r"^```sh\n(?P<command>.*?)^```\n(?:\n```(?:json|console)\n(?P<shown>.*?)^```)?", re.MULTILINE | re.DOTALL
)
STEPS = [(step["command"], step["shown"]) for step in STEP.finditer(PAGE.read_text())]
PATIENCE_SECONDS = 20.0
# What is different on each run.
KINDS = {
    "id": r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    "time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z",
    "money": r"-?\d+\.\d{4}",
    "number": r"\d+",
    "cursor": r"[A-Z2-7]+=+",
}


def alike(shown: Any, answered: Any) -> bool:
    """Whether an answer is what the page shows: every field that it shows, with equal values or values of one kind."""
    if isinstance(shown, dict):
        return isinstance(answered, dict) and all(
            name in answered and alike(shown[name], answered[name]) for name in shown
        )
    if isinstance(shown, list):
        return isinstance(answered, list) and len(shown) == len(answered) and all(map(alike, shown, answered))
    if isinstance(shown, str) and isinstance(answered, str) and shown != answered:
        return any(re.fullmatch(kind, shown) and re.fullmatch(kind, answered) for kind in KINDS.values())
    return bool(shown == answered)


def parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text.split("\n")


class Shell:
    """One shell for all steps, since later ones use the variables of earlier ones."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            ["bash", "--norc"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=folder
        )

    def run(self, command: str) -> str:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{command}\necho; echo END\n")
        self.process.stdin.flush()
        lines = list(iter(self.process.stdout.readline, "END\n"))
        return "".join(lines).strip()


@pytest.fixture
def brokerage() -> Iterator[Brokerage]:
    """One of its own: the demo customer must not have traded before."""
    folder = Path(tempfile.mkdtemp(prefix="brokerage-tutorial-"))
    try:
        with Brokerage(folder / "var", {"web": 2, "lanes": 2}) as it:
            yield it
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    shell = Shell(tmp_path)
    yield shell
    shell.process.kill()
    shell.process.communicate()


def wait_until_prices_are_known(brokerage: Brokerage) -> None:
    """The sweep reads them soon after the start, which is before any reader has typed the first command."""
    ends_at = time.monotonic() + PATIENCE_SECONDS
    code = "from django.core.cache import cache; from exchange.prices import KEY; print('known', bool(cache.get(KEY)))"
    while "known True" not in brokerage.manage("shell", "--no-imports", "-c", code).stdout:
        assert time.monotonic() < ends_at, "the sweep reads no prices"


def test_the_tutorial_works_as_written(brokerage: Brokerage, shell: Shell) -> None:
    here = {
        "http://127.0.0.1:8000": brokerage.url,
        "http://127.0.0.1:8100": brokerage.exchange_url,
        "http://127.0.0.1:8200": f"http://127.0.0.1:{brokerage.stream_port}",
    }
    wait_until_prices_are_known(brokerage)
    compared = 0
    for command, shown in STEPS:
        for there, address in here.items():
            command = command.replace(there, address)
        answer = shell.run(command)
        if shown is None:
            continue
        may_be_repeated = (" -d " not in command and " -X " not in command) or command.startswith("SALE=")
        ends_at = time.monotonic() + PATIENCE_SECONDS
        while not alike(parsed(shown.strip()), parsed(answer)) and may_be_repeated and time.monotonic() < ends_at:
            time.sleep(0.2)
            answer = shell.run(command)
        assert alike(parsed(shown.strip()), parsed(answer)), f"{command}\n{answer}"
        compared += 1
    assert compared >= 12


def test_the_comparison_can_fail() -> None:
    shown = {"tradeId": "01a21846-b286-7186-947d-c2946c405529", "status": "FILLED", "price": "207.0100"}
    answered = {"tradeId": "01a21846-b286-7186-947d-c2946c405528", "status": "FILLED", "price": "1.0000", "more": 1}
    assert alike(shown, answered)
    for wrong in ({"status": "PLACED"}, {"price": None}, {"tradeId": "none"}):
        assert not alike(shown, answered | wrong)
    assert not alike(shown, {})
