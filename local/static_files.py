"""Decide whether static files must be collected again."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path


class StaticFiles:
    """The collected static files of a data folder, and a fingerprint of their sources."""

    def __init__(self, data_dir: Path, root: Path) -> None:
        self.collected, self._stamp, self._root = data_dir / "static", data_dir / "static.stamp", root

    @property
    def are_collected(self) -> bool:
        """Whether the files were collected and their sources haven't changed since."""
        return self.collected.exists() and self._stamp.exists() and self._stamp.read_text() == self.fingerprint()

    def forget(self) -> None:
        """Mark them as not collected, because they are about to be replaced. Idempotent."""
        self._stamp.unlink(missing_ok=True)

    def note_collected(self) -> None:
        """Save the fingerprint of their sources."""
        self._stamp.write_text(self.fingerprint())

    def fingerprint(self) -> str:
        """Return a digest of the static files, the settings and the installed packages."""
        digest = hashlib.sha256(f"{sys.prefix} {os.environ.get('DEBUG')}".encode())
        for pattern in ("*/static/**/*", "static/**/*", "brokerage/settings*.py"):
            for path in sorted(self._root.glob(pattern)):
                status = path.stat()
                digest.update(f"{path} {status.st_size} {status.st_mtime_ns}\n".encode())
        if (requirements := self._root / "requirements.txt").exists():
            digest.update(requirements.read_bytes())
        return digest.hexdigest()
