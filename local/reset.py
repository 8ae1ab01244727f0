"""Remove the data of earlier runs (`make reset`)."""

from __future__ import annotations

import os
import shutil

from local import plan
from local.environment import LOCK_FILE
from local.errors import UserError
from local.folder import Folder
from local.orphans import end, processes_of_folder
from local.plan import PROJECT


def reset() -> int:
    """Remove the DATA_DIR folder, so that the next run starts over; return the exit code.

    Raises:
        UserError: A brokerage is running on it, or `make run` did not create it.
    """
    folder = Folder(plan.read(os.environ, PROJECT).data_dir)
    folder.lock()
    own_names = {folder.logs.name, folder.state.name, LOCK_FILE}
    is_unused = {path.name for path in folder.path.iterdir()} <= own_names
    if not (folder.path / "keys.json").exists() and not is_unused:
        raise UserError(f"{folder.path} was not created by make run: nothing was removed.")
    end(processes_of_folder(folder.path))
    shutil.rmtree(folder.path)
    print(f"Removed {folder.path}. make run starts over.")
    return 0
