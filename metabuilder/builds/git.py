"""The only place that runs git: cut off from hooks, filters, drivers, prompts and everybody's configuration.

What a repository brings along (`.gitattributes`, `.gitmodules`) is data here: attributes are overridden by
the engine's own, drivers exist only in configuration, and that is read from where no step writes.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from metabuilder.builds.workspace_errors import GitFailed

IDENTITY = ("Meta-Builder", "metabuilder@localhost")
LOCAL_SECONDS = 600
NETWORK_SECONDS = 1800

# Bytes go in and out as they are: no line ends, keywords, encodings or filters, and no diff or merge driver.
ATTRIBUTES = "* -text !eol -filter -ident !working-tree-encoding !diff !merge !export-subst\n"

# On the command line because that is the scope nothing else overrides.
SAFE_CONFIG = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.untrackedCache=false",
    "core.splitIndex=false",
    "core.excludesFile=/dev/null",
    "core.attributesFile=/dev/null",
    "core.autocrlf=false",
    "core.safecrlf=false",
    "core.symlinks=true",
    "core.fileMode=true",
    "core.ignoreCase=false",
    "core.precomposeUnicode=false",
    # File names that only other systems find dangerous are ordinary names here; `.git` itself stays refused.
    "core.protectHFS=false",
    "core.protectNTFS=false",
    "core.quotePath=false",
    "core.compression=1",
    "core.pager=cat",
    "core.askPass=",
    "core.alternateRefsCommand=true",
    "core.sshCommand=ssh -oBatchMode=yes",
    "credential.helper=",
    "commit.gpgSign=false",
    "push.gpgSign=false",
    "tag.gpgSign=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "submodule.recurse=false",
    "fetch.recurseSubmodules=false",
    "push.recurseSubmodules=no",
    "diff.ignoreSubmodules=all",
    "diff.noprefix=false",
    "diff.mnemonicPrefix=false",
    "merge.conflictStyle=merge",
    "init.defaultBranch=main",
    "http.lowSpeedLimit=1000",
    "http.lowSpeedTime=60",
    "advice.detachedHead=false",
)

# What a git that talks to a remote may see of the service's own environment.
_INHERITED = (
    "PATH", "TMPDIR", "SSH_AUTH_SOCK", "http_proxy", "https_proxy", "no_proxy", "all_proxy",
    "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO",
)  # fmt: skip

_WEB_USER = re.compile(r"(https?://)[^/\s@]+@")  # there a token is often the user name
_PASSWORD = re.compile(r"(://[^/\s:@]+):[^/\s@]+@")


def hide_credentials(text: str) -> str:
    """Remove passwords, and on the web user names too, from every URL in `text`."""
    return _PASSWORD.sub(r"\1@", _WEB_USER.sub(r"\1", text))


def environment(protocols: str = "file") -> dict[str, str]:
    """Return the environment of an engine's git. `protocols`: the allowed transports, colon-separated."""
    name, email = IDENTITY
    inherited = {key: os.environ[key] for key in _INHERITED if key in os.environ}
    return {
        "PATH": os.defpath,
        **inherited,
        "HOME": "/nonexistent",
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_SYSTEM": "/dev/null",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_PROTOCOL_FROM_USER": "0",
        "GIT_ALLOW_PROTOCOL": protocols,
        "GIT_EDITOR": "false",
        "GIT_AUTHOR_NAME": name,
        "GIT_AUTHOR_EMAIL": email,
        "GIT_COMMITTER_NAME": name,
        "GIT_COMMITTER_EMAIL": email,
    }


def run_git(
    *args: str | bytes,
    stdin: bytes = b"",
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    config: Iterable[str] = (),
    timeout: float = LOCAL_SECONDS,
    ok: Sequence[int] = (0,),
) -> subprocess.CompletedProcess[bytes]:
    """Run git with the engine's configuration. Raises GitFailed on any exit status that is not in `ok`."""
    options = [option for pair in (*SAFE_CONFIG, *config) for option in ("-c", pair)]
    try:
        done = subprocess.run(
            ["git", *options, *args],
            input=stdin,
            capture_output=True,
            env=dict(env) if env is not None else environment(),
            cwd=cwd,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise GitFailed(_shown(args), -1, f"still running after {timeout:.0f} s, so it was ended") from None
    if done.returncode not in ok:
        raise GitFailed(_shown(args), done.returncode, hide_credentials(done.stderr.decode(errors="replace")))
    return done


def _shown(args: Sequence[str | bytes]) -> str:
    words = (arg if isinstance(arg, str) else arg.decode(errors="replace") for arg in args)
    return hide_credentials(" ".join(words))[:200]


def nul_joined(paths: Iterable[str]) -> bytes:
    return b"".join(os.fsencode(path) + b"\0" for path in paths)


def nul_split(output: bytes) -> list[str]:
    return [os.fsdecode(field) for field in output.split(b"\0") if field]


@dataclass(frozen=True, slots=True)
class Repository:
    """A git directory of the engine's own, applied to a working tree that others write to."""

    git_dir: Path
    work_tree: Path
    index: Path | None = None  # None: the git directory's own

    def __call__(
        self, *args: str | bytes, stdin: bytes = b"", ok: Sequence[int] = (0,)
    ) -> subprocess.CompletedProcess[bytes]:
        env = environment()
        env |= {"GIT_DIR": str(self.git_dir), "GIT_WORK_TREE": str(self.work_tree)}
        env["GIT_INDEX_FILE"] = str(self.index or self.git_dir / "index")
        return run_git(*args, stdin=stdin, env=env, cwd=self.work_tree, ok=ok)

    def line(self, *args: str, stdin: bytes = b"") -> str:
        return os.fsdecode(self(*args, stdin=stdin).stdout).strip()

    def lines(self, *args: str) -> list[str]:
        return [line for line in os.fsdecode(self(*args).stdout).split("\n") if line]

    def resolve(self, name: str) -> str | None:
        """Return the commit that `name` stands for, or None."""
        done = self("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}", ok=(0, 1, 128))
        return done.stdout.decode().strip() if done.returncode == 0 else None

    def blobs(self, oids: Sequence[str]) -> list[bytes]:
        """Return the contents of blobs, in order."""
        if not oids:
            return []
        output = self("cat-file", "--batch", stdin="".join(f"{oid}\n" for oid in oids).encode()).stdout
        found, position = [], 0
        for _ in oids:
            end = output.index(b"\n", position)
            size = int(output[position:end].split()[2])
            found.append(output[end + 1 : end + 1 + size])
            position = end + 1 + size + 1
        return found

    def clear_locks(self) -> None:
        """Remove lock files that a killed git left. Only the holder of the run's lease may call this."""
        for lock in (*self.git_dir.glob("*.lock"), *(self.git_dir / "refs").rglob("*.lock")):
            lock.unlink(missing_ok=True)
