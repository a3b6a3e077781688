"""Git trees as values: compared, put together and merged without any working tree."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from metabuilder.builds.git import Repository, nul_split
from metabuilder.builds.workspace_errors import CandidateDoesNotApply

GITLINK = "160000"
SYMLINK = "120000"


@dataclass(frozen=True, slots=True)
class Change:
    """One path between two trees. A mode and object of None: the path is absent on that side."""

    path: str
    old_mode: str | None
    old_oid: str | None
    new_mode: str | None
    new_oid: str | None

    def reversed(self) -> Change:
        return Change(self.path, self.new_mode, self.new_oid, self.old_mode, self.old_oid)


@dataclass
class Trees:
    """The trees in a repository."""

    repo: Repository

    def diff(self, old: str, new: str) -> tuple[Change, ...]:
        """Return the paths that differ between two trees or commits; a rename is two of them."""
        if old == new:
            return ()
        output = self.repo("diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", old, new).stdout
        fields = nul_split(output)
        changes = []
        for meta, path in zip(fields[::2], fields[1::2], strict=True):
            old_mode, new_mode, old_oid, new_oid, _ = meta.lstrip(":").split(" ")
            if GITLINK not in (old_mode, new_mode):
                changes.append(Change(path, *_side(old_mode, old_oid), *_side(new_mode, new_oid)))
        return tuple(changes)

    def files(self, tree: str) -> dict[str, tuple[str, str]]:
        """Return mode and object of every file of a tree or commit."""
        found = {}
        for row in nul_split(self.repo("ls-tree", "-r", "-z", tree).stdout):
            meta, path = row.split("\t", 1)
            mode, _, oid = meta.split(" ")
            found[path] = (mode, oid)
        return found

    def overlay(self, tree: str, changes: Iterable[Change]) -> str:
        """Return `tree` (an object id, of a tree or commit) with every change's new side put in."""
        lines = []
        for change in sorted(changes, key=lambda change: change.new_mode is not None):  # removals first
            mode, oid = change.new_mode or "0", change.new_oid or "0" * len(tree)
            lines.append(f"{mode} {oid}\t".encode() + os.fsencode(change.path) + b"\0")
        if not lines:
            return self.repo.line("rev-parse", f"{tree}^{{tree}}")
        with tempfile.TemporaryDirectory(dir=self.repo.git_dir, prefix="scratch-") as scratch:
            aside = replace(self.repo, index=Path(scratch) / "index")
            aside("read-tree", tree)
            aside("update-index", "-z", "--index-info", stdin=b"".join(lines))
            return aside.line("write-tree")

    def transplant(self, tree: str, changes: Sequence[Change]) -> tuple[Change, ...]:
        """Return `changes` as they read on `tree`, merged line by line where its files have moved on.

        Raises CandidateDoesNotApply, naming the paths that cannot be merged.
        """
        files = self.files(tree)
        moved, stuck = [], []
        for change in changes:
            current = files.get(change.path, (None, None))
            if current == (change.old_mode, change.old_oid):
                moved.append(change)
            elif current != (change.new_mode, change.new_oid):
                merged = self._merge(change, *current)
                if merged is None:
                    stuck.append(change.path)
                else:
                    moved.append(merged)
        if stuck:
            raise CandidateDoesNotApply(stuck)
        return tuple(moved)

    def _merge(self, change: Change, mode: str | None, oid: str | None) -> Change | None:
        sides = (oid, change.old_oid, change.new_oid)
        if None in sides or SYMLINK in (mode, change.old_mode, change.new_mode):
            return None
        with tempfile.TemporaryDirectory(dir=self.repo.git_dir, prefix="scratch-") as scratch:
            names = [Path(scratch) / name for name in ("current", "old", "new")]
            for name, content in zip(names, self.repo.blobs([side for side in sides if side]), strict=True):
                name.write_bytes(content)
            done = self.repo("merge-file", "-p", "-q", *map(str, names), ok=range(256))
        if done.returncode != 0:
            return None
        merged = self.repo.line("hash-object", "-w", "--stdin", stdin=done.stdout)
        return Change(change.path, mode, oid, change.new_mode if mode == change.old_mode else mode, merged)


def _side(mode: str, oid: str) -> tuple[str | None, str | None]:
    return (None, None) if mode == "000000" else (mode, oid)
