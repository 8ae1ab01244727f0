"""A cache of new PostgreSQL data folders: copying one is much faster than `initdb`, and than migrating a database.

The cache is in the project's .cache folder, with an entry for each version and set of options. An entry is written to
disk under a temporary name and then renamed, so that concurrent runs never see an incomplete one.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".cache"


def kept(command: str, prefix: str = "postgresql") -> Path:
    """Return the path of the cache entry for a data folder that this user has created in this way."""
    digest = hashlib.sha256(f"{command} {os.geteuid()}".encode()).hexdigest()
    return CACHE / f"{prefix}-{digest[:16]}"


def schema_digest() -> str:
    """Return a digest of everything that determines the tables: all migrations, and the versions of the packages."""
    digest = hashlib.sha256()
    for path in [ROOT / "requirements.txt", *sorted(ROOT.glob("*/migrations/*.py"))]:
        digest.update(path.relative_to(ROOT).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def copy(cached: Path, target: Path) -> bool:
    """Copy a cached data folder; if there is none, create nothing and return False."""
    try:
        shutil.copytree(cached, target, symlinks=True)
    except OSError:
        shutil.rmtree(target, ignore_errors=True)
        return False
    return True


def keep(data: Path, cached: Path) -> None:
    """Cache a copy of a data folder that no server has used yet. Idempotent: yes. A full disk is not an error."""
    try:
        CACHE.mkdir(exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix="new-", dir=CACHE))
    except OSError:
        return
    try:
        shutil.copytree(data, temporary, symlinks=True, dirs_exist_ok=True)
        os.sync()
        temporary.rename(cached)
    except OSError:  # for example, another run was first
        shutil.rmtree(temporary, ignore_errors=True)
