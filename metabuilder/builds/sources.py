"""The repository that a run builds: naming it, copying it, and giving a branch back to it.

A source is read with the engine's configuration, never its own, and written to in one place: `deliver`.
"""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from metabuilder.builds.git import NETWORK_SECONDS, Repository, environment, hide_credentials, run_git
from metabuilder.builds.products import PRODUCTS
from metabuilder.builds.trees import GITLINK
from metabuilder.builds.workspace_errors import (
    BranchHasOtherCommits,
    BranchProtected,
    DeliveryRefused,
    EmptyRepository,
    GitFailed,
    NotARepository,
    RefNotFound,
    SourceNotFound,
    SourceRefused,
    WorktreeUnavailable,
)
from metabuilder.builds.worktrees import WorkTree

SCHEMES = ("https", "ssh", "git")
PROTECTED_BRANCHES = ("main", "master", "trunk", "develop", "release", "release/*", "production")

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)(://|::)")
_SCP_LIKE = re.compile(r"[^/:\s]+:(?!/?/)[^\s]+")
# The path was named by the person who runs us, so it may belong to another user; nothing in it is executed.
_NAMED_PATH = ("safe.directory=*",)


def check_no_credentials(text: str) -> None:
    """Refuse a source that carries a password or token: it is kept with the run, for everybody who may see that.

    Not taken out in silence: the clone would then fail, or fetch something else, with nothing to say why.
    """
    if (public := hide_credentials(text)) != text:
        raise SourceRefused(
            f"{public}: a password or token does not belong into the source, which is stored and shown; give the URL "
            "without it, or an ssh:// URL and let the ssh agent of the worker's user authenticate"
        )


@dataclass(frozen=True, slots=True)
class Source:
    """Where a repository is. `git_dir` is None unless it is on this host, `work_tree` also if it is bare."""

    location: str
    protocol: str
    git_dir: Path | None = None
    work_tree: Path | None = None

    @classmethod
    def parse(cls, text: str, *, allow_local: bool | None = None) -> Source:
        """Check what kind of source `text` names.

        `allow_local`: False refuses everything on this host, None refuses `file://` only, True neither.
        """
        if match := _SCHEME.match(text):
            scheme, form = match[1].lower(), match[2]
            if scheme == "file" and form == "://" and allow_local:
                return _local(text[len("file://") :], text)
            if scheme not in SCHEMES or form == "::":
                raise SourceRefused(
                    f"{hide_credentials(text)}: {scheme}{form} is not allowed; "
                    f"use {', '.join(f'{scheme}://' for scheme in SCHEMES)} or the path of a local repository"
                )
            return cls(text, scheme)
        if _SCP_LIKE.fullmatch(text) and not Path(text).exists():
            if text.startswith("-"):
                raise SourceRefused(f"{text}: a host name does not begin with a dash")
            return cls(text, "ssh")
        if allow_local is False:
            raise SourceRefused(f"{text}: repositories on this host are not allowed; give a URL")
        return _local(text, text)

    @property
    def name(self) -> str:
        """A directory name for copies of it."""
        path = self.work_tree or self.git_dir
        last = (path.name if path else self.location.rstrip("/")).rsplit("/")[-1].rsplit(":")[-1]
        return re.sub(r"[^A-Za-z0-9._-]", "-", last.removesuffix(".git")).strip(".-") or "source"

    @property
    def public_location(self) -> str:
        return hide_credentials(self.location)

    def git(self, *args: str, ok: Sequence[int] = (0,)) -> str:
        """Ask the local repository; never writes."""
        done = run_git(f"--git-dir={self.git_dir}", *args, config=_NAMED_PATH, ok=ok)
        return os.fsdecode(done.stdout).strip()

    def resolve(self, ref: str) -> str | None:
        return (
            self.git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}", ok=(0, 1, 128))
            or None
        )


def _local(path_text: str, shown: str) -> Source:
    path = Path(os.path.abspath(path_text))
    if not path.exists():
        raise SourceNotFound(shown)
    if (path / ".git").exists():
        return Source(str(path), "file", path / ".git", path)
    if all((path / part).exists() for part in ("HEAD", "objects", "refs")):
        return Source(str(path), "file", path)
    for parent in path.parents:
        if (parent / ".git").exists():
            raise NotARepository(f"{path} is a directory inside the repository {parent}; give {parent}")
    raise NotARepository(f"{path} is not a git repository; run `git init` there and commit, or give another path")


# Reading


@dataclass(frozen=True, slots=True)
class Clone:
    """What was found when a source was copied. `branch` is None where no branch named the commit."""

    commit: str
    branch: str | None
    refs: dict[str, str]  # "heads/main" -> object


def clone(source: Source, git_dir: Path, ref: str | None = None) -> Clone:
    """Copy a source into a new bare repository at `git_dir`.

    Raises EmptyRepository, RefNotFound, or SourceNotFound where a URL cannot be read.
    """
    wanted = None
    if source.git_dir:  # first, because it is quick, and because names like HEAD~2 mean something only there
        if not source.git("for-each-ref", "--count=1") and not source.resolve("HEAD"):
            raise EmptyRepository(source.location)
        wanted = _required(source.resolve(ref or "HEAD"), source, ref)
    _clone_bare(source, git_dir)
    copy = Repository(git_dir, git_dir)
    refs = {}
    for row in copy.lines("for-each-ref", "--format=%(objectname) %(refname)", "refs/heads", "refs/tags"):
        oid, _, name = row.partition(" ")
        refs[name.removeprefix("refs/")] = oid
    if wanted is None and not refs:
        raise EmptyRepository(source.public_location)
    if wanted is None:
        names = [f"refs/heads/{ref}", f"refs/tags/{ref}", ref] if ref else ["HEAD"]
        found = next((commit for name in names if (commit := copy.resolve(name))), None)
        wanted = found or _fetch(source, git_dir, ref or "HEAD")
    elif copy.resolve(wanted) is None:
        _fetch(source, git_dir, wanted)
    if ref is None:
        asked = source.git("symbolic-ref", "-q", "HEAD", ok=(0, 1)) if source.git_dir else None
        branch = (asked if asked is not None else copy.line("symbolic-ref", "HEAD")).removeprefix("refs/heads/")
    else:
        branch = ref.removeprefix("refs/heads/")
    return Clone(wanted, branch if refs.get(f"heads/{branch}") == wanted else None, refs)


def _clone_bare(source: Source, git_dir: Path) -> None:
    def attempt(*options: str) -> None:
        run_git(
            "clone", "--quiet", "--bare", "--template=", "--no-recurse-submodules", *options,
            *_upload_pack(source),
            "--", str(source.git_dir or source.location), str(git_dir),
            env=environment(source.protocol), config=_NAMED_PATH, timeout=NETWORK_SECONDS,
        )  # fmt: skip

    try:
        # Borrowed objects would make the copy depend on a third repository.
        attempt("--no-local" if source.git_dir and _borrows_objects(source) else "--local")
    except GitFailed as error:
        shutil.rmtree(git_dir, ignore_errors=True)
        if not source.git_dir:
            raise SourceNotFound(source.location, f"cannot read {source.public_location}: {error}") from error
        attempt("--no-local")  # an object directory that cannot be copied as files


def _borrows_objects(source: Source) -> bool:
    return Path(source.git("rev-parse", "--git-path", "objects/info/alternates")).exists()


def _fetch(source: Source, git_dir: Path, ref: str) -> str:
    """Fetch a commit that no branch or tag leads to."""
    copy = Repository(git_dir, git_dir)
    try:
        run_git(
            f"--git-dir={git_dir}", "fetch", "--quiet", "--no-tags", *_upload_pack(source),
            "--end-of-options", str(source.git_dir or source.location), ref,
            env=environment(source.protocol), config=_NAMED_PATH, timeout=NETWORK_SECONDS,
        )  # fmt: skip
    except GitFailed as error:
        raise RefNotFound(source.public_location, ref) from error
    return _required(copy.resolve("FETCH_HEAD"), source, ref)


def _upload_pack(source: Source) -> list[str]:
    if not source.git_dir:
        return []
    options = "-c safe.directory='*' -c core.hooksPath=/dev/null -c uploadpack.allowAnySHA1InWant=true"
    return [f"--upload-pack=git {options} upload-pack"]


def _required(commit: str | None, source: Source, ref: str | None) -> str:
    if commit is None:
        raise RefNotFound(source.public_location, ref or "HEAD")
    return commit


# Uncommitted changes


def uncommitted_paths(source: Source) -> list[str]:
    """Return the paths of a local working tree that differ from its HEAD, untracked files included."""
    if not source.work_tree or not source.resolve("HEAD"):
        return []
    with tempfile.TemporaryDirectory(prefix="metabuilder-") as scratch:
        git_dir = Path(scratch) / "git"
        run_git(
            "init",
            "--quiet",
            "--bare",
            "--template=",
            f"--object-format={_object_format(source)}",
            str(git_dir),
        )
        objects = Path(source.git("rev-parse", "--path-format=absolute", "--git-path", "objects"))
        (git_dir / "objects/info").mkdir(parents=True, exist_ok=True)
        (git_dir / "objects/info/alternates").write_bytes(os.fsencode(objects) + b"\n")
        (git_dir / "info").mkdir(exist_ok=True)
        with _files_of(source, git_dir) as files:
            found = files.scan()
            staged = files.differing_from(str(source.resolve("HEAD")))
    return sorted({*found.touched, *found.untracked, *staged} - files.submodules)


def snapshot_uncommitted(source: Source, git_dir: Path, commit: str) -> str:
    """Commit a local working tree on top of `commit` into `git_dir`; `commit` itself if nothing differs."""
    if not source.work_tree:
        raise WorktreeUnavailable(f"{source.public_location} has no working tree here; leave out uncommitted changes")
    if source.resolve("HEAD") != commit:
        raise WorktreeUnavailable("uncommitted changes belong to HEAD; they cannot be taken with another ref")
    with _files_of(source, git_dir) as files:
        tree = files.sync()
        if not files.diff(commit, tree):
            return commit
        message = b"Uncommitted changes of the source\n"
        return files.repo.line("commit-tree", tree, "-p", commit, "-F", "-", stdin=message)


@contextmanager
def _files_of(source: Source, git_dir: Path) -> Iterator[WorkTree]:
    """The source's working tree, seen through `git_dir` and a copy of its index: unwritten."""
    assert source.work_tree
    index = Path(source.git("rev-parse", "--path-format=absolute", "--git-path", "index"))
    exclude = Path(source.git("rev-parse", "--path-format=absolute", "--git-path", "info/exclude"))
    head = str(source.resolve("HEAD"))
    with tempfile.TemporaryDirectory(dir=git_dir, prefix="scratch-") as scratch:
        repo = Repository(git_dir, source.work_tree, Path(scratch) / "index")
        # A split index is two files; then, as without any, read HEAD and pay for comparing contents.
        if index.exists() and not list(index.parent.glob("sharedindex.*")):
            shutil.copy2(index, Path(scratch) / "index")
        else:
            repo("read-tree", head)
        files = WorkTree(repo, exclude_files=(exclude,) if exclude.exists() else ())
        files.submodules = submodules_of(files, head)
        yield files


def submodules_of(files: WorkTree, commit: str) -> frozenset[str]:
    return frozenset(path for path, (mode, _) in files.files(commit).items() if mode == GITLINK)


def _object_format(source: Source) -> str:
    return source.git("rev-parse", "--show-object-format")


def write_excludes(git_dir: Path) -> None:
    """Let the commands that take no patterns (`check-ignore`) know the products too."""
    (git_dir / "info").mkdir(exist_ok=True)
    (git_dir / "info/exclude").write_text("\n".join(PRODUCTS) + "\n")


# Writing


def deliver(source: Source, git_dir: Path, *, base: str, head: str, target: str, protected: Sequence[str]) -> str:
    """Add the branch `target` at `head` to the source, with the objects it needs, and nothing else.

    An existing branch is moved on only where its tip is one of our own commits between `base` and `head`.
    """
    ours = Repository(git_dir, git_dir)
    if ours("check-ref-format", "--branch", target, ok=(0, 1, 128)).returncode != 0 or target.startswith("-"):
        raise DeliveryRefused(f"{target!r} is not a name for a branch")
    taken, tip = _local_branches(source, target) if source.git_dir else _remote_branches(source, target)
    if target in taken:
        raise BranchProtected(target, "is checked out or the default branch there")
    if any(fnmatch.fnmatchcase(target, pattern) for pattern in protected):
        raise BranchProtected(target, "is a protected branch")
    if tip == head:
        return target
    if tip and tip not in ours.lines("rev-list", f"{base}..{head}"):
        raise BranchHasOtherCommits(target, tip)
    try:
        run_git(
            f"--git-dir={git_dir}", "push", "--quiet", "--no-verify", "--no-follow-tags",
            f"--force-with-lease=refs/heads/{target}:{tip}", *_receive_pack(source),
            "--", str(source.git_dir or source.location), f"{head}:refs/heads/{target}",
            env=environment(source.protocol), config=_NAMED_PATH, timeout=NETWORK_SECONDS,
        )  # fmt: skip
    except GitFailed as error:
        raise DeliveryRefused(f"{source.public_location} did not take {target}: {error.stderr.strip()}") from error
    return target


def _local_branches(source: Source, target: str) -> tuple[set[str], str]:
    taken = {source.git("symbolic-ref", "-q", "HEAD", ok=(0, 1))}
    for row in source.git("worktree", "list", "--porcelain").split("\n"):
        if row.startswith("branch "):
            taken.add(row.removeprefix("branch "))
    tip = source.resolve(f"refs/heads/{target}") or ""
    return {name.removeprefix("refs/heads/") for name in taken}, tip


def _remote_branches(source: Source, target: str) -> tuple[set[str], str]:
    try:
        listed = run_git(
            "ls-remote", "--symref", "--end-of-options", source.location, "HEAD", f"refs/heads/{target}",
            env=environment(source.protocol), timeout=NETWORK_SECONDS,
        )  # fmt: skip
    except GitFailed as error:
        raise DeliveryRefused(f"cannot read {source.public_location}: {error.stderr.strip()}") from error
    taken, tip = set(), ""
    for row in os.fsdecode(listed.stdout).split("\n"):
        left, _, name = row.partition("\t")
        if left.startswith("ref: ") and name == "HEAD":
            taken.add(left.removeprefix("ref: refs/heads/"))
        elif name == f"refs/heads/{target}":
            tip = left
    return taken, tip


def _receive_pack(source: Source) -> list[str]:
    if not source.git_dir:
        return []
    options = (
        "-c safe.directory='*' -c core.hooksPath=/dev/null -c core.logAllRefUpdates=false"
        " -c core.alternateRefsCommand=true -c receive.autogc=false -c gc.auto=0"
        " -c maintenance.auto=false -c receive.updateServerInfo=false -c receive.denyNonFastForwards=true"
    )
    return [f"--receive-pack=git {options} receive-pack"]
