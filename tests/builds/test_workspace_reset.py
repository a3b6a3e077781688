"""Going back is exact: random changes to a tree, then a reset, and nothing but allowed left-overs differs."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from metabuilder.builds.workspaces import Workspace
from tests.builds.repositories import git, listing, make_repository, write

SEEDS = 20
FILES = {
    ".gitignore": "*.log\ncache/\n",
    "app.py": "x = 1\n",
    "pkg/mod.py": "y = 2\n",
    "pkg/deep/er/data.bin": bytes(range(256)),
    "docs/read me.txt": "crlf\r\nline\n",
    "-dash": "leading dash\n",
    'quote"d': "q\n",
    "new\nline": "n\n",
    "tab\tbed": "t\n",
    os.fsdecode(b"latin-\xe9"): "not utf-8\n",
}
NAMES = [
    "app.py", "pkg", "pkg/mod.py", "pkg/deep", "pkg/deep/er/data.bin", "pkg/fresh.py", "docs",
    "docs/read me.txt", "fresh", "fresh/a/b", "-new", "\x01\n", os.fsdecode(b"\xff\xfe"), ".gitattributes",
    "link", "tool", "git~1", ".GIT", ":(top)magic",
]  # fmt: skip


@pytest.fixture
def workspace(tmp_path):
    source = make_repository(tmp_path / "acme", FILES)
    (source / "tool").write_text("#!/bin/sh\n")
    (source / "tool").chmod(0o755)
    (source / "link").symlink_to("app.py")
    git(source, "add", "-A")
    git(source, "commit", "-qm", "second")
    return Workspace.create(data_dir=tmp_path / "data", run_id="r1", source=str(source))


def clear(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif path.parent.is_dir():
        path.unlink(missing_ok=True)


class Mutator:
    """Does to a tree what a step might."""

    def __init__(self, root: Path, outside: Path, seed: int) -> None:
        self.root, self.outside, self.random = root, outside, random.Random(seed)

    def run(self, times: int) -> None:
        actions: list[Callable[[Path], None]] = [
            self.write, self.write, self.delete, self.executable, self.directory, self.symlink,
            self.symlink_outside, self.move_outside, self.nested_repository, self.bare_git_directory,
            self.ignore_rules, self.own_git, self.ignored_files, self.fifo,
        ]  # fmt: skip
        for _ in range(times):
            path = self.root / self.random.choice(NAMES)
            # Only in real directories of the root, as nothing may be expected of what is outside.
            if Path(os.path.realpath(path.parent)) == path.parent:
                self.random.choice(actions)(path)

    def write(self, path: Path) -> None:
        clear(path)
        for parent in reversed(path.relative_to(self.root).parents):
            if not (self.root / parent).is_dir():
                clear(self.root / parent)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.random.randbytes(20))

    def delete(self, path: Path) -> None:
        clear(path)

    def executable(self, path: Path) -> None:
        if path.is_file() and not path.is_symlink():
            path.chmod(path.stat().st_mode ^ 0o111)

    def directory(self, path: Path) -> None:
        if path.parent.is_dir():
            clear(path)
            path.mkdir()
            if self.random.random() < 0.5:
                (path / "inner").write_bytes(b"in")

    def symlink(self, path: Path) -> None:
        if path.parent.is_dir():
            clear(path)
            path.symlink_to(self.random.choice(["app.py", "nowhere", "pkg", "/"]))

    def symlink_outside(self, path: Path) -> None:
        if path.parent.is_dir():
            clear(path)
            path.symlink_to(self.outside)

    def move_outside(self, path: Path) -> None:
        """The files keep their inodes and times, and can still be reached under their old names."""
        if path.is_dir() and not path.is_symlink():
            target = self.outside / f"moved-{len(os.listdir(self.outside))}"
            path.rename(target)
            path.symlink_to(target)

    def nested_repository(self, path: Path) -> None:
        if path.parent.is_dir():
            clear(path)
            path.mkdir()
            git(path, "init", "-q")
            (path / "inside.txt").write_text("nested")
            if self.random.random() < 0.5:
                git(path, "add", "-A")
                git(path, "commit", "-qm", "nested")

    def bare_git_directory(self, path: Path) -> None:
        if path.is_dir() and not path.is_symlink():
            git(path, "init", "-q")

    def ignore_rules(self, path: Path) -> None:
        clear(self.root / ".gitignore")
        if self.random.random() < 0.7:
            (self.root / ".gitignore").write_text(self.random.choice(["pkg\n", "!*.log\n!cache/\n", "*\n", "fresh\n"]))

    def own_git(self, path: Path) -> None:
        what = self.random.choice(["add", "commit", "destroy"])
        if what == "destroy":
            clear(self.root / ".git")
        else:
            git(self.root, "add", "-A", ok=False)
            git(self.root, "commit", "-qam", "step", ok=False)

    def ignored_files(self, path: Path) -> None:
        if path.parent.is_dir():
            (path.parent / f"{self.random.randrange(99)}.log").write_text("new log")
        write(self.root, f"cache/{self.random.randrange(9)}/new", "new")

    def fifo(self, path: Path) -> None:
        clear(self.root / "app.py")
        os.mkfifo(self.root / "app.py")


def without_own_git(root: Path) -> dict[str, tuple[str, ...]]:
    return listing(root, skip=(".git",))


@pytest.mark.parametrize("seed", range(SEEDS))
def test_reset_trial__after_any_changes__files_are_exactly_as_at_the_mark(workspace, tmp_path, seed):
    outside = tmp_path / "outside"
    write(outside, "precious/file", "keep me")
    root = workspace.root
    for path in ("old.log", "pkg/old.log", "cache/old"):
        write(root, path, "ignored before")
    (root / "empty/nested").mkdir(parents=True)
    write(root, "product.txt", "an earlier step made this")
    mark = workspace.begin_trial()
    before = without_own_git(root)

    Mutator(root, outside, seed).run(6)
    if seed % 2:
        workspace.candidate_diff(mark)  # looking changes nothing
    workspace.reset_trial(mark)

    after = without_own_git(root)
    # A change may have deleted ignored files; what is not kept in git cannot come back.
    lost = {path for path in before if path not in after}
    assert all(path.endswith(".log") or path.split("/")[0] == "cache" for path in lost)
    assert {path: value for path, value in before.items() if path not in lost} == after
    assert (outside / "precious/file").read_text() == "keep me"
    assert workspace.files.is_at(mark.tree)


@pytest.mark.parametrize("seed", range(100, 100 + SEEDS))
def test_reset_to__after_any_changes__files_are_exactly_as_in_the_commit(workspace, tmp_path, seed):
    outside = tmp_path / "outside"
    write(outside, "precious/file", "keep me")
    before = without_own_git(workspace.root)

    for times in (3, 3):
        Mutator(workspace.root, outside, seed).run(times)
        workspace.snapshot()
    Mutator(workspace.root, outside, seed + 1).run(3)
    workspace.reset_to(workspace.base_commit)

    after = without_own_git(workspace.root)
    kept = {path for path in after if path.endswith(".log") or path.split("/")[0] == "cache"}
    assert before == {path: value for path, value in after.items() if path not in kept}
    assert (outside / "precious/file").read_text() == "keep me"
