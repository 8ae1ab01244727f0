"""Installs the programs that the cluster runs: Debian packages, and Patroni in its own virtual environment."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from cluster.errors import UserError

PROJECT = Path(__file__).resolve().parent.parent
SYSTEM_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
RABBITMQ = Path("/usr/lib/rabbitmq/bin")
PACKAGES = {
    "iproute2": "ip",
    "nftables": "nft",
    "haproxy": "haproxy",
    "age": "age",
    "etcd-server": "etcd",
    "rabbitmq-server": str(RABBITMQ / "rabbitmq-server"),
}
"""Debian package -> a program that it contains."""
PATRONI_REQUIREMENTS = PROJECT / "deploy/patroni-requirements.txt"


def program(name: str) -> str:
    """Return the path of a program. Raises UserError if it isn't installed."""
    found = shutil.which(name, path=SYSTEM_PATH)
    if found is None:
        raise UserError(f"{name} is not installed.")
    return found


def install_programs(say: Callable[[str], None]) -> None:
    """Install the Debian packages that are missing. Raises UserError if that isn't possible."""
    missing = [package for package, name in PACKAGES.items() if shutil.which(name, path=SYSTEM_PATH) is None]
    if not missing:
        return
    names = " ".join(missing)
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise UserError(f"Not installed: {names}. On Debian: sudo apt-get install {names}")
    say(f"installing {names}")
    options = {"env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}, "capture_output": True, "text": True}
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing]
    if subprocess.run(install, **options).returncode != 0:  # type: ignore[call-overload]
        subprocess.run(["apt-get", "update", "-qq"], **options)  # type: ignore[call-overload]
        if (result := subprocess.run(install, **options)).returncode != 0:  # type: ignore[call-overload]
            raise UserError(f"apt-get could not install {names}: {result.stderr.strip().splitlines()[-1:]}")


def install_patroni(folder: Path, say: Callable[[str], None]) -> Path:
    """Create a virtual environment with Patroni, unless it is up to date; return the folder of its programs."""
    requirements = PATRONI_REQUIREMENTS.read_text()
    stamp, binaries = folder / "installed", folder / "bin"
    if stamp.exists() and stamp.read_text() == requirements:
        return binaries
    say("installing Patroni")
    shutil.rmtree(folder, ignore_errors=True)
    uv = shutil.which("uv")
    make = [uv, "venv", "--quiet"] if uv else [sys.executable, "-m", "venv"]
    install = (
        [uv, "pip", "install", "--quiet", "--python", str(binaries / "python")]
        if uv
        else [str(binaries / "python"), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    )
    for step in ([*make, str(folder)], [*install, "--require-hashes", "-r", str(PATRONI_REQUIREMENTS)]):
        result = subprocess.run([str(argument) for argument in step], capture_output=True, text=True)
        if result.returncode != 0:
            raise UserError(f"Patroni could not be installed: {result.stderr.strip()[-500:]}")
    stamp.write_text(requirements)
    return binaries
