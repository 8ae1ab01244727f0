"""supervisord as supervisor ships it, except that it

* looks at its processes ten times a second instead of once, so that what died is started again at once,
* goes on when nobody reads its messages any more, so that it can end its processes in order when the runner is killed,
* leaves nothing behind when it has ended: also what its processes have started and forgotten is killed.
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
from local.orphans import end, of_folder

LOOK_SECONDS = 0.1


class PromptPoller(poller.Poller):  # type: ignore[misc]
    """Waits for no longer than LOOK_SECONDS."""

    def poll(self, timeout: float) -> tuple[list[int], list[int]]:
        """Wait as the base class does, but not longer than LOOK_SECONDS."""
        readable, writable = super().poll(min(timeout, LOOK_SECONDS))
        return readable, writable


class PatientStream(io.TextIOWrapper):
    """Writes for as long as somebody reads, and doesn't mind when nobody does."""

    def write(self, text: str) -> int:
        """Write the text, or nothing if nobody reads."""
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
    end(of_folder(Path(data_dir)))
