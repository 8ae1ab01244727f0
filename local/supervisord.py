"""supervisord, with these changes: it

* polls its processes ten times a second instead of once, so that dead ones are restarted at once,
* ignores write errors on stdout, so that it can still stop its processes in order after the runner was killed,
* kills processes that its own processes started and left behind before it exits.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from pathlib import Path

from supervisor import poller, supervisord
from supervisor.options import ServerOptions

from local.launcher import MARK
from local.orphans import end, processes_of_folder

POLL_SECONDS = 0.1


class PromptPoller(poller.Poller):  # type: ignore[misc]
    """A poller that waits at most POLL_SECONDS."""

    def poll(self, timeout: float) -> tuple[list[int], list[int]]:
        """Wait as the base class does, but at most POLL_SECONDS."""
        readable, writable = super().poll(min(timeout, POLL_SECONDS))
        return readable, writable


class PatientStream(io.TextIOWrapper):
    """A text stream that ignores write errors."""

    def write(self, text: str) -> int:
        """Write the text, ignoring errors such as a closed pipe."""
        with contextlib.suppress(OSError):
            os.write(self.fileno(), text.encode(errors="replace"))
        return len(text)


if __name__ == "__main__":
    sys.stdout, sys.stderr = PatientStream(sys.stdout.buffer), PatientStream(sys.stderr.buffer)
    options = ServerOptions()
    options.realize(sys.argv[1:])
    options.first, options.test = True, False
    options.poller = PromptPoller(options)
    supervisord.go(options)
    data_dir = os.environ[MARK].rpartition("#")[0]
    end(processes_of_folder(Path(data_dir)))
