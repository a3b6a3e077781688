"""Real repositories for the workspace tests, and a fingerprint of everything in a directory."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
from pathlib import Path

IDENTITY = ["-c", "user.name=Ann", "-c", "user.email=ann@example.org", "-c", "init.defaultBranch=main"]


def git(directory: Path, *args: str, ok: bool = True) -> str:
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(
        ["git", *IDENTITY, *args],
        cwd=directory,
        env=environment,
        capture_output=True,
        check=ok,
        text=True,
        errors="replace",
    )
    return done.stdout.strip()


def write(root: Path, path: str, content: str | bytes = "x\n") -> Path:
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content if isinstance(content, bytes) else content.encode())
    return target


def make_repository(path: Path, files: dict[str, str | bytes] | None = None) -> Path:
    """A repository with one commit on main and one tag."""
    path.mkdir(parents=True)
    git(path, "init", "-q")
    for name, content in (files or {"app.py": "x = 1\n", "pkg/mod.py": "y = 2\n"}).items():
        write(path, name, content)
    git(path, "add", "-A")
    git(path, "commit", "-qm", "first")
    git(path, "tag", "v1")
    return path


def listing(root: Path, *, skip: tuple[str, ...] = ()) -> dict[str, tuple[str, ...]]:
    """Kind, executable bit and content of everything below `root`. No symlink is followed."""
    found = {}
    for entry in os.scandir(root):
        if entry.name in skip:
            continue
        path = Path(entry.path)
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            found[entry.name] = ("link", os.readlink(path))
        elif stat.S_ISDIR(mode):
            found[entry.name] = ("directory",)
            found.update({f"{entry.name}/{name}": value for name, value in listing(path).items()})
        else:
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            found[entry.name] = ("file", str(bool(mode & stat.S_IXUSR)), content)
    return found
