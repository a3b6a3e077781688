"""Deleting inside a directory that others fill, without being led out of it by their symlinks."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path


class Parents:
    """Answers whether a path's parent directories are directories and no symlinks, each looked at once."""

    def __init__(self, root: Path) -> None:
        self._root, self._seen = root, {"": True}

    def are_real(self, path: str) -> bool:
        parent = path.rpartition("/")[0]
        if parent not in self._seen:
            self._seen[parent] = self.are_real(parent) and is_real_directory(self._root / parent)
        return self._seen[parent]


def is_real_directory(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


def remove_tree(path: Path) -> None:
    """Delete a file, symlink or directory, also one without write permission. It may be absent."""
    if not is_real_directory(path):
        path.unlink(missing_ok=True)
        return

    def make_writable_and_retry(function: object, name: str, error: object) -> None:
        stuck = Path(name)
        stuck.parent.chmod(0o700)
        if is_real_directory(stuck):
            stuck.chmod(0o700)
            shutil.rmtree(stuck)
        else:
            stuck.unlink(missing_ok=True)

    shutil.rmtree(path, onerror=make_writable_and_retry)
