"""Files and folders that only their own account can read."""

import os
from pathlib import Path

# New files and folders: nothing for other accounts.
UMASK = 0o077


def make_private(folder: Path) -> None:
    """Makes a folder where there is none, and closes one of this account to all others."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.stat()
    if found.st_uid == os.geteuid() and found.st_mode & UMASK:
        folder.chmod(found.st_mode & 0o7700)
