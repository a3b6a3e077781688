"""One changed file, as the workspace reports it and the guard judges it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FileChange:
    """What became of one path. `old` is None for a new file, `new` for a deleted one; modes are git's.

    A rename is two changes: one deletes the old path, one adds the new.
    """

    path: str
    old: bytes | None
    new: bytes | None
    old_mode: str | None = None
    new_mode: str | None = None
