"""Nothing that a repository, a step or the user's configuration brings along is run by the engine's git."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import subprocess
import time
from pathlib import Path

import pytest

from metabuilder.builds.git import Repository, hide_credentials, run_git
from metabuilder.builds.workspace_errors import (
    BranchProtected,
    GitFailed,
    RefNotFound,
    SourceNotFound,
    WorktreeUnavailable,
)
from metabuilder.builds.workspaces import Workspace
from tests.builds.repositories import git, listing, make_repository, write

HOOKS = (
    "pre-commit", "post-commit", "post-checkout", "post-index-change", "reference-transaction", "pre-receive",
    "update", "post-receive", "post-update", "pre-push", "proc-receive", "push-to-checkout", "pre-auto-gc",
)  # fmt: skip


@pytest.fixture
def trap(tmp_path):
    """A program that, once anything runs it, leaves a file beside itself."""
    program = tmp_path / "trap"
    program.write_text(f'#!/bin/sh\necho "$0 $@" >> {tmp_path}/sprung\ncat\n')
    program.chmod(0o755)
    return program


def arm(git_dir: Path, trap: Path) -> None:
    (git_dir / "hooks").mkdir(exist_ok=True)
    for hook in HOOKS:
        shutil.copy2(trap, git_dir / "hooks" / hook)
    with (git_dir / "config").open("a") as config:
        config.write(
            f"[core]\nfsmonitor = {trap}\npager = {trap}\neditor = {trap}\nsshCommand = {trap}\n"
            f"askPass = {trap}\nalternateRefsCommand = {trap}\n"
            f'[filter "evil"]\nclean = {trap}\nsmudge = {trap}\nprocess = {trap}\nrequired = true\n'
            f'[diff "evil"]\ncommand = {trap}\ntextconv = {trap}\n[merge "evil"]\ndriver = {trap}\n'
            f"[diff]\nexternal = {trap}\n[uploadpack]\npackObjectsHook = {trap}\n[gpg]\nprogram = {trap}\n"
            f"[commit]\ngpgSign = true\n[credential]\nhelper = {trap}\n"
        )


ATTRIBUTES = "* filter=evil diff=evil merge=evil text eol=crlf ident working-tree-encoding=UTF-16\n"


def live_through_everything(workspace: Workspace, target: str) -> None:
    mark = workspace.begin_trial()
    write(workspace.root, "app.py", "x = 2\n$Id$\n")
    write(workspace.root, "more.txt", "a\r\nb\n")
    workspace.candidate_diff(mark)
    frozen = workspace.freeze_candidate(mark)
    workspace.reset_trial(mark)
    workspace.apply_frozen(frozen)
    workspace.commit_fix(frozen, "fix")
    write(workspace.root, "gen.txt", "product")
    workspace.snapshot()
    workspace.changed_since_snapshot()
    with workspace.without_fixes():
        pass
    workspace.patch()
    workspace.deliver_branch(target)
    Workspace.worktree_warning(workspace.source)
    assert (workspace.root / "app.py").read_bytes() == b"x = 2\n$Id$\n"
    assert (workspace.root / "more.txt").read_bytes() == b"a\r\nb\n"
    workspace.reset_to(workspace.base_commit)


def test_engine__step_arms_its_repository_attributes_and_nested_ones__runs_nothing(tmp_path, trap):
    source = make_repository(tmp_path / "acme")
    workspace = Workspace.create(data_dir=tmp_path / "data", run_id="r1", source=str(source))
    arm(workspace.root / ".git", trap)
    write(workspace.root, ".gitattributes", ATTRIBUTES)
    write(workspace.root, ".gitmodules", f'[submodule "x"]\npath = x\nurl = ext::{trap}\nupdate = !{trap}\n')
    make_repository(workspace.root / "nested")
    arm(workspace.root / "nested/.git", trap)
    write(workspace.root, "nested/.gitattributes", ATTRIBUTES)
    write(workspace.root, "nested/app.py", "changed")
    live_through_everything(workspace, "fix/a")
    assert not (tmp_path / "sprung").exists()


def test_engine__source_is_armed__runs_nothing(tmp_path, trap):
    files = {"app.py": "x = 1\n", ".gitattributes": ATTRIBUTES.replace("working-tree-encoding=UTF-16", "")}
    origin = make_repository(tmp_path / "origin", {"first": "1"})
    git(tmp_path, "clone", "-q", "--shared", str(origin), "acme")
    source = tmp_path / "acme"
    for name, content in files.items():
        write(source, name, content)
    git(source, "add", "-A")
    git(source, "commit", "-qm", "second")
    arm(source / ".git", trap)
    write(source, "app.py", "x = 'uncommitted'\n")
    for run_id, include in (("r1", False), ("r2", True)):
        workspace = Workspace.create(
            data_dir=tmp_path / "data", run_id=run_id, source=str(source), include_worktree=include
        )
        live_through_everything(workspace, f"fix/{run_id}")
    assert not (tmp_path / "sprung").exists()


def test_engine__the_users_configuration_and_environment_are_armed__runs_nothing(tmp_path, trap, monkeypatch):
    home = tmp_path / "home"
    make_repository(home / "template")
    arm(home / "template/.git", trap)
    shutil.copy2(home / "template/.git/config", home / ".gitconfig")
    with (home / ".gitconfig").open("a") as config:
        config.write(f"hooksPath = {home}/template/.git/hooks\n[init]\ntemplateDir = {home}/template/.git\n")
        config.write(f"[core]\nhooksPath = {home}/template/.git/hooks\nattributesFile = {home}/attributes\n")
    write(home, "attributes", ATTRIBUTES)
    write(home, ".config/git/ignore", "*\n")
    for name, value in {
        "HOME": str(home), "GIT_EXTERNAL_DIFF": str(trap), "GIT_SSH_COMMAND": str(trap),
        "GIT_ASKPASS": str(trap), "GIT_EDITOR": str(trap),
        "GIT_TEMPLATE_DIR": str(home / "template/.git"), "GIT_DIR": str(home / "template/.git"),
        "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.fsmonitor", "GIT_CONFIG_VALUE_0": str(trap),
        "GIT_INDEX_FILE": str(home / "index"), "GIT_OBJECT_DIRECTORY": str(home / "objects"),
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    source = make_repository(tmp_path / "acme", {"app.py": "x = 1\n", ".gitattributes": "*.py diff=evil filter=evil\n"})
    workspace = Workspace.create(data_dir=tmp_path / "data", run_id="r1", source=str(source))
    live_through_everything(workspace, "fix/a")
    assert not (tmp_path / "sprung").exists()


def test_trap__ordinary_git__does_spring_it(tmp_path, trap):
    """The three tests above would not notice a trap that cannot spring."""
    source = make_repository(tmp_path / "acme")
    arm(source / ".git", trap)
    write(source, ".gitattributes", ATTRIBUTES)
    git(source, "status", ok=False)
    assert (tmp_path / "sprung").exists()


def test_attributes__line_ends_keywords_and_lfs_pointers__bytes_are_exact(tmp_path):
    content = {
        ".gitattributes": "*.txt text eol=crlf ident\n*.big filter=lfs diff=lfs merge=lfs -text\n",
        "a.txt": b"one\ntwo\n$Id$\n",
        "b.big": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
    }
    source = make_repository(tmp_path / "acme", content)
    workspace = Workspace.create(data_dir=tmp_path / "data", run_id="r1", source=str(source))
    for name in ("a.txt", "b.big"):
        assert (workspace.root / name).read_bytes() == content[name]
    assert not workspace.changed_since_snapshot()


def test_restore__directory_replaced_by_a_symlink_to_outside__writes_and_deletes_nothing_there(tmp_path):
    source = make_repository(tmp_path / "acme", {"pkg/mod.py": "y = 2\n", "pkg/sub/deep.py": "z\n", "keep": "k\n"})
    workspace = Workspace.create(data_dir=tmp_path / "data", run_id="r1", source=str(source))
    outside = tmp_path / "outside"
    for path in ("mod.py", "sub/deep.py", "sub/extra.log", "__pycache__/mod.cpython-311.pyc", ".git/config"):
        write(outside, path, "theirs")
    before = listing(outside)
    for rules in ("", "pkg\n*.log\n"):
        mark = workspace.begin_trial()
        write(workspace.root, ".gitignore", rules)
        shutil.rmtree(workspace.root / "pkg")
        (workspace.root / "pkg").symlink_to(outside)
        workspace.freeze_candidate(mark)
        workspace.snapshot()
        workspace.reset_trial(mark)
        assert listing(outside) == before
        assert (workspace.root / "pkg/sub/deep.py").read_text() == "z\n"
        assert not (workspace.root / "pkg").is_symlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another user")
def test_create__source_of_another_user__is_readable(tmp_path):
    source = make_repository(tmp_path / "acme")
    for path in (source, *source.rglob("*")):
        os.chown(path, 12345, 12345)
    workspace = Workspace.create(data_dir=tmp_path / "data", run_id="r1", source=str(source))
    live_through_everything(workspace, "fix/a")


def test_origin__url_with_credentials__is_not_shown_to_steps():
    assert hide_credentials("https://ann:s3cret@example.org/x.git") == "https://example.org/x.git"
    assert hide_credentials("a https://tok@h/x b ssh://me:pw@h/y") == "a https://h/x b ssh://me@h/y"


def test_facts__may_hold_credentials__are_for_the_owner_only(tmp_path):
    source = make_repository(tmp_path / "acme")
    workspace = Workspace.create(data_dir=tmp_path / "data", run_id="r1", source=str(source))
    assert stat.S_IMODE(workspace.places.facts_file.stat().st_mode) == 0o600


def test_run_git__failure_or_time_out__is_one_error_without_credentials(tmp_path):
    with pytest.raises(GitFailed, match="ended with 128") as caught:
        run_git("ls-remote", "https://u:s3cret@localhost:1/x.git")
    assert "s3cret" not in str(caught.value)
    with pytest.raises(GitFailed, match="still running"):
        run_git("-c", "alias.wait=!sleep 5", "wait", timeout=0.2)


def test_blobs__contents_with_any_bytes__come_in_order(tmp_path):
    make_repository(tmp_path / "acme")
    repo = Repository(tmp_path / "acme/.git", tmp_path / "acme")
    contents = [b"", b"\n", b"\0 blob 3\n", b"x" * 100_000]
    oids = [repo.line("hash-object", "-w", "--stdin", stdin=content) for content in contents]
    assert repo.blobs([*oids, oids[0]]) == [*contents, b""]
    assert repo.blobs([]) == []


@pytest.fixture
def served(tmp_path):
    """A repository behind a git:// URL, served by a real daemon that takes pushes."""
    source = make_repository(tmp_path / "acme")
    git(tmp_path, "clone", "-q", "--bare", str(source), "served/acme.git")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    daemon = subprocess.Popen(
        ["git", "daemon", "--reuseaddr", "--export-all", "--enable=receive-pack", "--listen=127.0.0.1",
         f"--port={port}", f"--base-path={tmp_path}/served", str(tmp_path / "served")],
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"}, start_new_session=True,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    for _ in range(100):
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    yield f"git://127.0.0.1:{port}/acme.git", tmp_path / "served/acme.git"
    os.killpg(daemon.pid, signal.SIGTERM)
    daemon.communicate()


def test_url__create_deliver_and_refusals__as_with_a_path(served, tmp_path):
    url, repository = served
    workspace = Workspace.create(data_dir=tmp_path / "data", run_id="r1", source=url, ref="v1", allow_local=False)
    assert git(workspace.root, "remote", "get-url", "origin") == url
    assert workspace.root.name == "acme"
    mark = workspace.begin_trial()
    write(workspace.root, "app.py", "x = 2\n")
    workspace.commit_fix(workspace.freeze_candidate(mark), "fix")
    with pytest.raises(BranchProtected):
        workspace.deliver_branch("main", protected=())
    workspace.deliver_branch("fix/a")
    assert git(repository, "rev-parse", "fix/a") == workspace.head_commit
    with pytest.raises(RefNotFound, match="nowhere"):
        Workspace.create(data_dir=tmp_path / "data", run_id="r2", source=url, ref="nowhere")
    with pytest.raises(SourceNotFound, match="cannot read"):
        Workspace.create(data_dir=tmp_path / "data", run_id="r2", source=url.replace("acme", "missing"))
    with pytest.raises(WorktreeUnavailable):
        Workspace.create(data_dir=tmp_path / "data", run_id="r2", source=url, include_worktree=True)
