"""Reads a checked-out repository for plan detection. The only part of detection that touches the disk."""

from __future__ import annotations

import os
from pathlib import Path

from metabuilder.builds.plan_detection import Repository

_SKIPPED = frozenset({".git", ".hg", ".venv", "venv", "node_modules", ".tox", ".nox", "__pycache__", "site-packages"})
_MAX_FILES = 50_000
_MAX_BYTES = 512 * 1024


def repository_at(root: Path) -> Repository:
    """The files below `root` (links are left out), texts read when asked for."""
    paths: list[str] = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED)
        paths += [os.path.relpath(os.path.join(folder, name), root).replace(os.sep, "/") for name in sorted(names)]
        if len(paths) >= _MAX_FILES:
            break
    plain = tuple(path for path in paths[:_MAX_FILES] if not (root / path).is_symlink())
    return Repository(plain, lambda path: _text(root / path))


def _text(path: Path) -> str | None:
    try:
        if path.is_symlink() or not path.is_file() or path.stat().st_size > _MAX_BYTES:
            return None
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
