"""Copies of a new PostgreSQL data folder, for servers whose data is thrown away: `initdb` takes much longer.

They are kept in .cache of the project, one for each version and set of options. A copy is made beside and renamed, so
that several runs at once never see half of one, and it is on the disk before it has its name.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

CACHE = Path(__file__).resolve().parents[1] / ".cache"


def kept(made_by: str) -> Path:
    """Return where the data folder that was made this way, by this user, is kept, or will be."""
    digest = hashlib.sha256(f"{made_by} {os.geteuid()}".encode()).hexdigest()
    return CACHE / f"postgresql-{digest[:16]}"


def copy(kept: Path, to: Path) -> bool:
    """Copy a kept data folder; returns False, and leaves nothing, where there is none to copy."""
    try:
        shutil.copytree(kept, to, symlinks=True)
    except OSError:
        shutil.rmtree(to, ignore_errors=True)
        return False
    return True


def keep(data: Path, kept: Path) -> None:
    """Keep a copy of a data folder that no server has run on. Idempotent: yes. A full disk is no error."""
    try:
        CACHE.mkdir(exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix="new-", dir=CACHE))
    except OSError:
        return
    try:
        shutil.copytree(data, beside, symlinks=True, dirs_exist_ok=True)
        os.sync()
        beside.rename(kept)
    except OSError:  # or another run was first
        shutil.rmtree(beside, ignore_errors=True)
