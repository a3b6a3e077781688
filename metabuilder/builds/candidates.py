"""The values of a trial: how the workspace was before it, and what a candidate made of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any

from metabuilder.builds.changes import FileChange
from metabuilder.builds.git import Repository
from metabuilder.builds.trees import Change
from metabuilder.builds.worktrees import Signature, WorkTree


@dataclass
class TrialMark:
    """How the workspace was when a trial began. `made` is filled in when the candidate is frozen."""

    tree: str
    beside: Mapping[str, Signature]  # ignored files, empty directories, environments
    made: frozenset[str] | None = None

    def as_dict(self) -> dict[str, Any]:
        made = None if self.made is None else sorted(self.made)
        return {
            "tree": self.tree,
            "beside": {name: list(sig) for name, sig in self.beside.items()},
            "made": made,
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> TrialMark:
        beside = {name: (int(sig[0]), int(sig[1]), int(sig[2])) for name, sig in value["beside"].items()}
        return cls(value["tree"], beside, None if value["made"] is None else frozenset(value["made"]))


@dataclass(frozen=True, slots=True)
class CandidateDiff:
    """What a candidate changed. `ignored` names what it made or changed beside that, which is not kept."""

    text: str  # for people; binary files are only named
    files: tuple[FileChange, ...]
    digest: str  # sha256 over paths, modes and contents
    paths: tuple[str, ...]
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FrozenCandidate:
    """A candidate's own content, kept in the checkpoint repository before its proof dirties the tree."""

    base_tree: str
    tree: str
    changes: tuple[Change, ...]
    beside: tuple[str, ...] = ()  # ignored files it made or changed, environments it built

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(change.path for change in self.changes)

    def as_dict(self) -> dict[str, Any]:
        """A JSON value from which `from_dict` makes the same candidate where the checkpoint repository is."""
        changes = [list(astuple(change)) for change in self.changes]
        return {
            "base_tree": self.base_tree,
            "tree": self.tree,
            "changes": changes,
            "beside": list(self.beside),
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> FrozenCandidate:
        changes = tuple(Change(*change) for change in value["changes"])
        return cls(value["base_tree"], value["tree"], changes, tuple(value["beside"]))


def freeze(files: WorkTree, mark: TrialMark) -> tuple[FrozenCandidate, frozenset[str]]:
    """Return the candidate as the files are now, and what new things it left beside the tree."""
    tree = files.sync()
    beside = files.beside(tree)
    everything = files.diff(mark.tree, tree)
    # A candidate that edits .gitignore un-hides files without having written them.
    changes = tuple(c for c in everything if c.old_oid or mark.beside.get(c.path) != files.signature(c.path))
    if changes != everything:
        tree = files.overlay(mark.tree, changes)
    left = sorted(name for name, sig in beside.items() if mark.beside.get(name) != sig and "__pycache__/" not in name)
    made = frozenset(beside) - frozenset(mark.beside)
    return FrozenCandidate(mark.tree, tree, changes, tuple(left)), made


def describe(repo: Repository, frozen: FrozenCandidate) -> CandidateDiff:
    """Return a candidate's changes with their contents."""
    oids = [oid for change in frozen.changes for oid in (change.old_oid, change.new_oid) if oid]
    contents_of: dict[str | None, bytes | None] = dict(zip(oids, repo.blobs(oids), strict=True))
    contents_of[None] = None
    files = tuple(
        FileChange(
            change.path,
            contents_of[change.old_oid],
            contents_of[change.new_oid],
            change.old_mode,
            change.new_mode,
        )
        for change in frozen.changes
    )
    return CandidateDiff(_text(repo, frozen), files, digest_of(files), frozen.paths, frozen.beside)


def digest_of(files: Sequence[FileChange]) -> str:
    """Return the hex SHA-256 of changes, equal for equal paths, modes and contents on both sides."""
    digest = hashlib.sha256()
    for file in sorted(files, key=lambda file: file.path):
        for field in (
            file.path.encode(errors="surrogateescape"),
            file.old,
            file.new,
            file.old_mode,
            file.new_mode,
        ):
            data = field.encode() if isinstance(field, str) else field
            digest.update(b"-" if data is None else b"%d:" % len(data) + data)
    return digest.hexdigest()


def _text(repo: Repository, frozen: FrozenCandidate) -> str:
    if not frozen.changes:
        return ""
    options = (
        "-r",
        "-p",
        "--no-ext-diff",
        "--no-textconv",
        "--no-renames",
        "--no-color",
        "--src-prefix=a/",
        "--dst-prefix=b/",
    )
    output = repo("diff-tree", *options, frozen.base_tree, frozen.tree, "--", *frozen.paths).stdout
    return output.decode(errors="replace")
