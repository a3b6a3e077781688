"""Environments set aside come back, whenever the process dies."""

from __future__ import annotations

from pathlib import Path

import pytest

from metabuilder.builds import environments
from metabuilder.builds.environments import Environments
from metabuilder.builds.workspaces import Workspace
from tests.builds.repositories import listing, make_repository, write


@pytest.fixture
def workspace(tmp_path):
    source = make_repository(tmp_path / "acme", {"app.py": "", "web/node_modules/tracked.js": "", "venv/read.me": ""})
    workspace = Workspace.create(data_dir=tmp_path / "data", run_id="r1", source=str(source))
    for path in (".venv/lib/x.py", "sub/node_modules/y/index.js", "env/pyvenv.cfg", "env/bin/python"):
        write(workspace.root, path)
    (workspace.root / "link").mkdir()
    (workspace.root / "link/.venv").symlink_to(tmp_path)
    return workspace


def _files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def build_others(root: Path) -> None:
    write(root, ".venv/lib/new.py")
    write(root, "other/.venv/lib/new.py")


def test_present__untracked_environments__are_found_by_name_or_content(workspace):
    assert Environments(workspace).present() == [Path(".venv"), Path("env"), Path("sub/node_modules")]


def test_set_aside_and_restore__new_ones_built_between__the_old_are_back(workspace):
    before = listing(workspace.root)
    aside = Environments(workspace).set_aside()
    assert Environments(workspace).present() == []
    build_others(workspace.root)
    Environments(workspace).restore(aside)
    (workspace.root / "other").rmdir()
    assert listing(workspace.root) == before
    assert list(workspace.places.aside.iterdir()) == []


def test_set_aside_and_restore__packages_in_the_home__are_not_there_meanwhile_and_come_back(workspace):
    write(workspace.home, ".local/lib/old.py")
    write(workspace.home, ".config/tool.toml")
    aside = Environments(workspace).set_aside()
    assert _files(workspace.home) == {".config/tool.toml"}
    write(workspace.home, ".local/lib/new.py")
    write(workspace.home, ".gem/new.rb")
    Environments(workspace).restore(aside)
    assert _files(workspace.home) == {".config/tool.toml", ".local/lib/old.py"}


def test_open__killed_while_the_homes_packages_are_aside__they_are_back(workspace):
    write(workspace.home, ".local/lib/old.py")
    Environments(workspace).set_aside()
    write(workspace.home, ".local/lib/new.py")
    Workspace.open(data_dir=workspace.places.data_dir, run_id="r1")
    assert _files(workspace.home) == {".local/lib/old.py"}


def test_discard__the_new_stay(workspace):
    aside = Environments(workspace).set_aside()
    build_others(workspace.root)
    Environments(workspace).discard(aside)
    Workspace.open(data_dir=workspace.places.data_dir, run_id="r1")
    assert (workspace.root / ".venv/lib/new.py").exists()
    assert not (workspace.root / ".venv/lib/x.py").exists()
    assert list(workspace.places.aside.iterdir()) == []


@pytest.mark.parametrize("cut_after", range(4))
def test_open__killed_while_setting_aside__everything_is_back(workspace, monkeypatch, cut_after):
    before = listing(workspace.root)
    left, rename = [cut_after], Path.rename

    def dying_rename(self, target):
        if self.name != "journal.json.new":
            if left[0] == 0:
                raise KeyboardInterrupt
            left[0] -= 1
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", dying_rename)
        if cut_after < 3:
            with pytest.raises(KeyboardInterrupt):
                Environments(workspace).set_aside()
        else:
            Environments(workspace).set_aside()
    Workspace.open(data_dir=workspace.places.data_dir, run_id="r1")
    assert listing(workspace.root) == before


def test_open__killed_while_discarding__does_not_put_the_old_back(workspace, monkeypatch):
    aside = Environments(workspace).set_aside()
    build_others(workspace.root)
    with monkeypatch.context() as patch:
        patch.setattr(environments, "remove_tree", lambda path: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            Environments(workspace).discard(aside)
    Workspace.open(data_dir=workspace.places.data_dir, run_id="r1")
    assert (workspace.root / ".venv/lib/new.py").exists()
    assert not (workspace.root / ".venv/lib/x.py").exists()


def test_reset_trial__environment_set_aside__restore_after_it_is_exact(workspace):
    environments = Environments(workspace)
    before = listing(workspace.root)
    aside = environments.set_aside()
    mark = workspace.begin_trial()
    write(workspace.root, "app.py", "candidate")
    build_others(workspace.root)
    workspace.reset_trial(mark)
    environments.restore(aside)
    assert listing(workspace.root) == before
