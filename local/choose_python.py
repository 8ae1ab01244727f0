"""Print the Python to install into: the one that runs this, or the system's, if only that was compiled with profiles.

A Python that was compiled with profile-guided optimization needs a fifth less CPU for a trade (benchmarks/README.md).
Distributions compile theirs like this; pyenv and `./configure` only with `--enable-optimizations`
(https://docs.python.org/3/using/configure.html#cmdoption-enable-optimizations).

It runs before anything is installed, so it needs the standard library alone.
"""

import subprocess
import sys
import sysconfig

SYSTEM = "/usr/bin/python3"
SUITS = "import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))"


def choose(current: str, configuration: str, system: str = SYSTEM) -> str:
    """Return the path of the Python to install into.

    Args:
        current: The path of the Python that runs.
        configuration: The arguments of `./configure` with which that one was built.
        system: The path of the distribution's, which need not exist.
    """
    if "--enable-optimizations" in configuration or not sys.platform.startswith("linux"):
        return current
    try:
        suits = subprocess.run([system, "-c", SUITS], capture_output=True, timeout=10).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return current
    return system if suits else current


if __name__ == "__main__":
    print(choose(sys.executable, sysconfig.get_config_var("CONFIG_ARGS") or ""))
