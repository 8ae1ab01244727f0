"""`make` installs into a Python that was compiled with profiles, if there is one."""

import subprocess
import sys
from pathlib import Path

import pytest

from local.choose_python import choose
from local.plan import PROJECT

pytestmark = pytest.mark.process
CURRENT = "/opt/python/bin/python3"


def executable(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_a_python_with_profiles_is_kept() -> None:
    assert choose(CURRENT, "'--enable-optimizations' '--with-lto'", sys.executable) == CURRENT


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has a Python of its distribution")
def test_the_systems_is_taken_in_place_of_one_without_profiles() -> None:
    assert choose(CURRENT, "'--enable-shared'", sys.executable) == sys.executable


def test_a_system_python_that_is_too_old_is_not_taken(tmp_path: Path) -> None:
    assert choose(CURRENT, "", executable(tmp_path / "python3", "exit 1")) == CURRENT


def test_without_a_system_python_the_current_one_is_kept(tmp_path: Path) -> None:
    assert choose(CURRENT, "", str(tmp_path / "python3")) == CURRENT


def test_make_uses_what_is_chosen(tmp_path: Path) -> None:
    """`make` says which Python it installs into, and takes `python3` if nothing can be chosen."""
    script = [sys.executable, "local/choose_python.py"]
    chosen = subprocess.run(script, cwd=PROJECT, capture_output=True, text=True, check=True).stdout.strip()
    assert Path(chosen).exists()
    show = ["make", "--no-print-directory", "-f", "-", "show"]
    makefile = f"include {PROJECT / 'Makefile'}\nshow:\n\t@echo $(PYTHON)\n"

    def python_of(path: Path) -> str:
        environment = {"PATH": f"{path}:/usr/bin:/bin"}
        return subprocess.run(
            show, cwd=PROJECT, env=environment, input=makefile, capture_output=True, text=True, check=True
        ).stdout.strip()

    bin_ = tmp_path / "bin"
    bin_.mkdir()
    executable(bin_ / "python3", f'exec {sys.executable} "$@"')
    assert python_of(bin_) == chosen
    executable(bin_ / "python3", "exit 1")
    assert python_of(bin_) == "python3"
