"""Where a run's files are, and how its checkpoint repository and working tree come to be.

Both are made under a temporary name and renamed when they are whole, the working tree last.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from metabuilder.builds import sources
from metabuilder.builds.git import ATTRIBUTES, Repository, hide_credentials, run_git
from metabuilder.builds.safe_paths import remove_tree
from metabuilder.builds.sources import Source
from metabuilder.builds.worktrees import WorkTree

SOURCE_REFS = "refs/metabuilder/source/"

_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")


@dataclass(frozen=True, slots=True)
class Facts:
    """What never changes about a workspace."""

    source: str  # as it was given; may hold credentials, so the file is for the owner alone
    name: str
    base_commit: str
    source_commit: str  # differs from base_commit where uncommitted changes were taken
    branch: str | None  # of the source, checked out in the workspace
    submodules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Places:
    """The paths and refs of one run."""

    data_dir: Path
    run_id: str

    def __post_init__(self) -> None:
        if not _RUN_ID.fullmatch(self.run_id):
            raise ValueError(f"not a run id: {self.run_id!r}")

    @property
    def git_dir(self) -> Path:
        return self.data_dir / "checkpoints" / f"{self.run_id}.git"

    @property
    def directory(self) -> Path:
        return self.data_dir / "workspaces" / self.run_id

    @property
    def home(self) -> Path:
        return self.directory / "home"

    @property
    def tmp(self) -> Path:
        return self.directory / "tmp"

    @property
    def aside(self) -> Path:
        return self.directory / "aside"

    @property
    def facts_file(self) -> Path:
        return self.git_dir / "metabuilder.json"

    @property
    def trial_file(self) -> Path:
        return self.git_dir / "metabuilder-trial.json"

    @property
    def branch(self) -> str:
        return f"metabuilder/run-{self.run_id}"

    @property
    def kept_ref(self) -> str:
        return f"refs/metabuilder/kept/{self.run_id}"

    @property
    def checkpoint_refs(self) -> str:
        return f"refs/metabuilder/checkpoints/{self.run_id}/"

    def tree(self, name: str) -> Path:
        # Named like the source, as a checkout usually is: some tools derive names from it.
        return self.directory / "src" / name

    def are_complete(self) -> bool:
        return self.facts_file.exists() and self.directory.exists()

    def clear_left_overs(self) -> None:
        """Remove what a killed process left half done in the checkpoint repository."""
        Repository(self.git_dir, self.git_dir).clear_locks()
        for scratch in self.git_dir.glob("scratch-*"):
            remove_tree(scratch)


def write_json(path: Path, value: object) -> None:
    """Replace a file in one step, readable by its owner only."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(value, file)
    fresh.replace(path)


def read_json(path: Path) -> Any:
    """Return the value, or None where the file is absent."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return None


def read_facts(places: Places) -> Facts:
    value: Mapping[str, Any] = read_json(places.facts_file)
    return Facts(**{**value, "submodules": tuple(value["submodules"])})


def create(places: Places, source: Source, ref: str | None, *, include_worktree: bool) -> None:
    """Copy a source into a checkpoint repository and a working tree of the run's own."""
    fresh = places.git_dir.with_name(f".new-{places.git_dir.name}")
    remove_tree(fresh)
    fresh.parent.mkdir(parents=True, exist_ok=True)
    try:
        found = sources.clone(source, fresh, ref)
        _make_ours(fresh, found)
        base = found.commit
        if include_worktree:
            base = sources.snapshot_uncommitted(source, fresh, found.commit)
        run_git(f"--git-dir={fresh}", "update-ref", f"refs/heads/{places.branch}", base)
        run_git(f"--git-dir={fresh}", "symbolic-ref", "HEAD", f"refs/heads/{places.branch}")
        submodules = tuple(sorted(sources.submodules_of(WorkTree(Repository(fresh, fresh)), base)))
        facts = Facts(source.location, source.name, base, found.commit, found.branch, submodules)
        write_json(fresh / places.facts_file.name, asdict(facts))
        fresh.rename(places.git_dir)
    finally:
        remove_tree(fresh)
    populate(places, facts, base)


def _make_ours(git_dir: Path, found: sources.Clone) -> None:
    """Keep the objects of a fresh clone, and its refs under a name of their own; the rest is the engine's."""
    (git_dir / "config").write_text(_config(git_dir, bare=True))
    for ours in ("hooks", "info", "refs"):
        remove_tree(git_dir / ours)
    (git_dir / "refs/heads").mkdir(parents=True)
    _write_refs(git_dir, {f"{SOURCE_REFS}{name}": oid for name, oid in found.refs.items()})
    sources.write_excludes(git_dir)
    (git_dir / "info/attributes").write_text(ATTRIBUTES)


def _config(git_dir: Path, *, bare: bool) -> str:
    sha256 = "objectformat = sha256" in (git_dir / "config").read_text().lower()
    lines = [
        "[core]",
        f"repositoryformatversion = {int(sha256)}",
        f"bare = {str(bare).lower()}",
        "filemode = true",
    ]
    if sha256:
        lines += ["[extensions]", "objectFormat = sha256"]
    return "\n".join(lines) + "\n"


def _write_refs(git_dir: Path, refs: Mapping[str, str]) -> None:
    rows = sorted((os.fsencode(name), oid.encode()) for name, oid in refs.items())
    (git_dir / "packed-refs").write_bytes(b"".join(oid + b" " + name + b"\n" for name, oid in rows))


def populate(places: Places, facts: Facts, commit: str) -> None:
    """Make the working tree and its own `.git` from the checkpoint repository, files as in `commit`."""
    fresh = places.directory.with_name(f".new-{places.run_id}")
    remove_tree(fresh)
    root = fresh / "src" / facts.name
    for directory in (fresh / "home", fresh / "tmp", fresh / "aside", root):
        directory.mkdir(parents=True)
    (fresh / "home").chmod(0o700)
    try:
        (places.git_dir / "index").unlink(missing_ok=True)
        Repository(places.git_dir, root)("read-tree", "--reset", "-u", commit)
        _write_ordinary_git(places, facts, root / ".git")
        remove_tree(places.directory)
        fresh.rename(places.directory)
    finally:
        remove_tree(fresh)


def _write_ordinary_git(places: Places, facts: Facts, git_dir: Path) -> None:
    """What `git clone` would have left: written by hand because its checkout would run filters."""
    ours = places.git_dir
    for directory in ("hooks", "info", "refs/heads", "refs/tags", "refs/remotes/origin"):
        (git_dir / directory).mkdir(parents=True)
    # Copied, not linked: a step may damage its own repository only.
    shutil.copytree(ours / "objects", git_dir / "objects", ignore=shutil.ignore_patterns("tmp_*", "incoming-*"))
    shutil.copy2(ours / "index", git_dir / "index")
    if (ours / "shallow").exists():
        shutil.copy2(ours / "shallow", git_dir / "shallow")
    origin = hide_credentials(facts.source).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    config = _config(ours, bare=False) + "[core]\nlogallrefupdates = true\n"
    config += f'[remote "origin"]\nurl = "{origin}"\nfetch = +refs/heads/*:refs/remotes/origin/*\n'
    head = facts.source_commit
    refs = {}
    for row in Repository(ours, ours).lines("for-each-ref", "--format=%(objectname) %(refname)", SOURCE_REFS):
        oid, _, name = row.partition(" ")
        kind, _, rest = name.removeprefix(SOURCE_REFS).partition("/")
        refs[f"refs/tags/{rest}" if kind == "tags" else f"refs/remotes/origin/{rest}"] = oid
    if facts.branch:
        refs[f"refs/heads/{facts.branch}"] = facts.source_commit
        head = f"ref: refs/heads/{facts.branch}"
        (git_dir / "refs/remotes/origin/HEAD").write_text(f"ref: refs/remotes/origin/{facts.branch}\n")
        name = facts.branch.replace("\\", "\\\\").replace('"', '\\"')
        config += f'[branch "{name}"]\nremote = origin\nmerge = "refs/heads/{name}"\n'
    _write_refs(git_dir, refs)
    (git_dir / "HEAD").write_text(f"{head}\n")
    (git_dir / "config").write_text(config)
