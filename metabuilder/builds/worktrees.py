"""A directory of files as git trees: what changed in it, and how to put it back exactly.

Only plumbing is used, with explicit lists of paths: `git add` and `git status` start a second git, with the
configuration found there, inside any repository that a step left in the tree.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from metabuilder.builds.git import nul_joined, nul_split
from metabuilder.builds.products import PRODUCTS, drop_bytecode, is_environment, is_product_directory
from metabuilder.builds.safe_paths import Parents, remove_tree
from metabuilder.builds.trees import GITLINK, Trees
from metabuilder.builds.workspace_errors import GitFailed

Signature = tuple[int, int, int]  # of a file: mtime in ns, size, inode
OPAQUE: Signature = (-1, 0, 0)  # a directory that is not looked into
EMPTY: Signature = (-2, 0, 0)  # an empty directory


@dataclass(frozen=True, slots=True)
class Scan:
    """How the files differ from the index, ignored files and products left out."""

    touched: list[str]  # in the index; modified, deleted or replaced by something else
    untracked: list[str]
    unrecordable: list[str]  # untracked, with a name that git refuses, as `.GIT`

    def __bool__(self) -> bool:
        return bool(self.touched or self.untracked)


@dataclass
class WorkTree(Trees):
    """The files under `repo.work_tree`. Nothing else writes there, or to `repo`'s index, during a call."""

    submodules: frozenset[str] = frozenset()  # left alone: neither recorded nor restored
    exclude_files: tuple[Path, ...] = ()  # further ignore rules, in the form of .gitignore
    _settled: bool = field(default=False, init=False)
    _tree: str | None = field(default=None, init=False)  # the index as a tree object, while that is known

    @property
    def root(self) -> Path:
        return self.repo.work_tree

    # What is there

    def scan(self) -> Scan:
        """Compare the files with the index. One git call on a tree without nested repositories."""
        options = [f"--exclude={pattern}" for pattern in PRODUCTS]
        options += [f"--exclude-from={path}" for path in self.exclude_files]
        listed = self.repo("ls-files", "-t", "-z", "-m", "-d", "-o", "--exclude-standard", *options)
        touched: dict[str, None] = {}
        untracked: list[str] = []
        for row in nul_split(listed.stdout):
            mark, path = row[0], row[2:]
            if mark != "?":
                touched[path] = None
            elif path.endswith("/"):
                untracked += self._files_of_nested_repository(path)
            else:
                untracked.append(path)
        untracked = _without_products(untracked)
        good = [path for path in untracked if self._git_can_hold(path)]
        strange = [] if len(good) == len(untracked) else sorted(set(untracked).difference(good))
        return Scan([path for path in touched if path not in self.submodules], good, strange)

    def settle(self) -> None:
        """Spare later scans from reading every file that is as new as the index, as all are after a checkout.

        Git compares times in whole seconds, so the index must be written again when that second is over.
        """
        if not self._settled and time.time() // 1 > (self.repo.git_dir / "index").stat().st_mtime // 1:
            self.repo("update-index", "-q", "--ignore-submodules", "--refresh", "--force-write-index", ok=(0, 1))
            self._settled = True

    def sync(self) -> str:
        """Bring the index up to date with the files and return it as a tree object."""
        found = self.scan()
        if found:
            self._tree = None
            kinds = Parents(self.root)
            present = [path for path in found.touched if self._is_ordinary(path) and kinds.are_real(path)]
            gone = set(found.touched).difference(present)
            if gone:
                self.repo("update-index", "-z", "--force-remove", "--stdin", stdin=nul_joined(sorted(gone)))
            self._add([*present, *found.untracked])
        if self._tree is None:
            self._tree = self.repo.line("write-tree")
        return self._tree

    def is_at(self, tree: str) -> bool:
        """Whether the non-ignored files are as in `tree`, without recording anything."""
        if self._tree is None:
            self._tree = self.repo.line("write-tree")
        return self._tree == tree and not self.scan()

    def beside(self, tree: str) -> dict[str, Signature]:
        """Return what lies in the directory and not in `tree`, which the index must hold.

        Ignored files, empty directories (OPAQUE and EMPTY ones end in "/"), environments and nested `.git`
        directories; the latter two are not looked into.
        """
        found: dict[str, Signature] = {}
        for path in nul_split(self.repo("ls-files", "-z", "-o", "--directory").stdout):
            if path.endswith("/"):
                self._walk(path[:-1], found)
            else:
                _note(self.root / path, path, found)
        for directory in self.directories(tree):
            inner = f"{directory}/.git"
            if os.path.lexists(self.root / inner):
                _note(self.root / inner, inner, found)
        return found

    def signature(self, path: str) -> Signature | None:
        found: dict[str, Signature] = {}
        _note(self.root / path, path, found)
        return found.get(path)

    def directories(self, tree: str) -> list[str]:
        """Return the directories of `tree`, parents first. Submodules are not among them."""
        rows = nul_split(self.repo("ls-tree", "-r", "-d", "-z", tree).stdout)
        return [row.split("\t", 1)[1] for row in rows if not row.startswith(GITLINK)]

    # Putting it in order

    def switch(self, tree: str, spare: Collection[str] = ()) -> None:
        """Make the recorded files as in `tree`; what no tree recorded stays, except where it is in the way.

        Paths in `spare` are forgotten rather than deleted where `tree` does not have them.
        """
        self._drop_symlinks_in_place_of(self.directories(tree))
        differing = self.differing_from(tree)
        stale = {*self.scan().touched, *differing}
        self._tree = None
        if spared := sorted(set(spare).intersection(differing)):
            self.repo("update-index", "-z", "--force-remove", "--stdin", stdin=nul_joined(spared))
        try:
            self.repo("read-tree", "--reset", "-u", tree)
        except GitFailed:
            self._make_writable()  # a step took its own permission away
            self.repo("read-tree", "--reset", "-u", tree)
        self._tree = tree
        drop_bytecode(self.root, stale)

    def restore(
        self,
        tree: str,
        known: Mapping[str, Signature] | None = None,
        made: Collection[str] | None = None,
    ) -> None:
        """Make the non-ignored files exactly as in `tree`.

        `known` is what `beside` said when the files were as wanted: ignored files that are not in it go too,
        or only those in `made` where that is given. With None, ignored files stay. Nothing changes outside
        the root.
        """
        self.switch(tree, spare=known or ())
        left = self.scan()
        for path in (*left.untracked, *left.unrecordable):
            if path not in (known or ()):
                self._delete(path)
        here = self.beside(tree)
        homes = {*self.directories(tree), *_parents_of(known or ()), *self.submodules}
        doomed = self._strange_directories(here, homes)
        if known is not None:
            doomed |= {path for path in here if path not in known and (made is None or path in made)}
        doomed |= {path for path in here if _is_git_directory(path) and path not in (known or ())}
        for path in sorted(doomed):
            self._delete(path.rstrip("/"), keep=homes)
        for path, signature in (known or {}).items():
            if signature == EMPTY and Parents(self.root).are_real(path.rstrip("/")):
                with suppress(FileExistsError, NotADirectoryError):
                    (self.root / path).mkdir(parents=True)

    # Details

    def _add(self, paths: Sequence[str]) -> None:
        if not paths:
            return
        for path in paths:
            if not os.access(self.root / path, os.R_OK, follow_symlinks=False):
                with suppress(FileNotFoundError):
                    (self.root / path).chmod(0o600)
        # --remove: a background process of a step may have deleted one since.
        self.repo("update-index", "-z", "--add", "--remove", "--replace", "--stdin", stdin=nul_joined(paths))

    def _is_ordinary(self, path: str) -> bool:
        try:
            mode = (self.root / path).lstat().st_mode
        except OSError:
            return False
        return stat.S_ISREG(mode) or stat.S_ISLNK(mode)

    def _git_can_hold(self, path: str) -> bool:
        if ".git" in path.lower().split("/") or not self._is_ordinary(path):
            return False
        return not (path.lower().endswith(".gitmodules") and (self.root / path).is_symlink())

    def _files_of_nested_repository(self, directory: str) -> list[str]:
        """List a repository inside the tree as the plain files it consists of, without its `.git`."""
        found: dict[str, Signature] = {}
        self._walk(directory.rstrip("/"), found)
        paths = [path for path in found if not path.endswith("/") and not _is_git_directory(path)]
        return [path for path in paths if path not in self._ignored(paths)] if paths else []

    def _ignored(self, paths: Collection[str]) -> set[str]:
        plain = nul_joined(f"./{path}" for path in paths)  # a leading ":" means something to this command
        done = self.repo("check-ignore", "-z", "--no-index", "--stdin", stdin=plain, ok=(0, 1))
        return {path.removeprefix("./") for path in nul_split(done.stdout)}

    def _walk(self, directory: str, found: dict[str, Signature]) -> None:
        path = self.root / directory
        try:
            entries = list(os.scandir(path))
        except OSError:
            found[f"{directory}/"] = OPAQUE
            return
        if is_product_directory(path.name, {entry.name for entry in entries}):
            found[f"{directory}/"] = OPAQUE
        elif not entries:
            found[f"{directory}/"] = EMPTY
        else:
            for entry in entries:
                inner = f"{directory}/{entry.name}"
                if entry.is_dir(follow_symlinks=False) and entry.name != ".git":
                    self._walk(inner, found)
                else:
                    _note(path / entry.name, inner, found)

    def _drop_symlinks_in_place_of(self, directories: Iterable[str]) -> None:
        """Unlink symlinks that stand where directories belong, so that nothing is written through them."""
        for directory in directories:
            if (path := self.root / directory).is_symlink():
                path.unlink()

    def differing_from(self, tree: str) -> list[str]:
        """Return the paths at which the index differs from `tree`."""
        return nul_split(self.repo("diff-index", "--cached", "-z", "--name-only", "--no-renames", tree).stdout)

    def _make_writable(self) -> None:
        for directory, names, _ in os.walk(self.root):
            Path(directory).chmod(stat.S_IMODE(Path(directory).stat().st_mode) | stat.S_IRWXU)
            names[:] = [name for name in names if name != ".git" and not is_environment(Path(directory) / name)]

    def _strange_directories(self, here: Iterable[str], homes: Collection[str]) -> set[str]:
        """Return the topmost directories that hold only left-overs, are not ignored and are new."""
        tops = set()
        for path in here:
            names = path.split("/")[:-1]
            for depth in range(1, len(names) + 1):
                top = "/".join(names[:depth])
                if top not in homes:
                    tops.add(top)
                    break
        tops = {top for top in tops if not _is_git_directory(top) and not is_environment(self.root / top)}
        ignored = self._ignored([f"{top}/" for top in tops]) if tops else set()
        return {f"{top}/" for top in tops if f"{top}/" not in ignored}

    def _delete(self, path: str, keep: Collection[str] = ()) -> None:
        """Delete what is at `path` and the directories that this leaves empty. Follows no symlink."""
        if not Parents(self.root).are_real(path):
            return
        target = self.root / path
        remove_tree(target)
        parent = path.rpartition("/")[0]
        while parent and parent not in keep:
            try:
                (self.root / parent).rmdir()
            except OSError:
                return
            parent = parent.rpartition("/")[0]


def _note(path: Path, name: str, found: dict[str, Signature]) -> None:
    try:
        status = path.lstat()
    except OSError:
        return
    if stat.S_ISDIR(status.st_mode):
        found[f"{name}/"] = OPAQUE
    else:
        found[name] = (status.st_mtime_ns, status.st_size, status.st_ino)


def _is_git_directory(path: str) -> bool:
    return path.rstrip("/").rpartition("/")[2] == ".git"


def _parents_of(paths: Iterable[str]) -> Iterator[str]:
    for path in paths:
        names = path.split("/")[:-1]
        yield from ("/".join(names[:depth]) for depth in range(1, len(names) + 1))


def _without_products(untracked: list[str]) -> list[str]:
    """Leave out directories that mark themselves as an environment or a cache."""
    marked = {path.rpartition("/")[0] for path in untracked if is_product_directory("", {path.rpartition("/")[2]})}
    marked.discard("")
    return [path for path in untracked if marked.isdisjoint(_parents_of([path]))] if marked else untracked
