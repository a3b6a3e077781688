"""Environments (`.venv`, `node_modules`, ...) set aside by renaming, so that a trial may build its own."""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metabuilder.builds.products import ENVIRONMENTS
from metabuilder.builds.safe_paths import remove_tree
from metabuilder.builds.workspace_setup import read_json, write_json

if TYPE_CHECKING:
    from metabuilder.builds.workspaces import Workspace

JOURNAL = "journal.json"
HOME_ENVIRONMENTS = (".local", ".gem")  # where `pip install --user` and its like put packages


@dataclass(frozen=True, slots=True)
class Aside:
    """Environments moved out of the workspace, by their path in it. Each has a slot in `directory`."""

    directory: Path
    paths: tuple[str, ...]

    def slot(self, path: str) -> Path:
        return self.directory / str(self.paths.index(path))


class Environments:
    """The directories in a workspace that package managers fill, where the project does not track them."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def present(self) -> list[Path]:
        """The environments, as paths relative to the root."""
        files = self._workspace.files
        found = []
        for name in files.beside(files.sync()):
            path = Path(name)
            if not name.endswith("/") or (self._workspace.root / path).is_symlink():
                continue
            if path.name in ENVIRONMENTS or (self._workspace.root / path / "pyvenv.cfg").is_file():
                found.append(path)
        return sorted(found)

    def set_aside(self) -> Aside:
        """Move every environment out. Until `restore` or `discard`, opening the workspace puts them back."""
        directory = self._workspace.places.aside / uuid.uuid4().hex
        directory.mkdir(parents=True)
        aside = Aside(directory, (*map(str, self.present()), *self._of_home()))
        _write_journal(aside, "aside")
        for path in aside.paths:
            (self._workspace.root / path).rename(aside.slot(path))
        return aside

    def _of_home(self) -> list[str]:
        """The environments in the run's home, as paths relative to the root."""
        home = self._workspace.home
        present = [home / name for name in HOME_ENVIRONMENTS if os.path.lexists(home / name)]
        return [os.path.relpath(path, self._workspace.root) for path in present]

    def restore(self, aside: Aside) -> None:
        """Put the old environments back in place of what is there now, and delete those built since."""
        for path in (*map(str, self.present()), *self._of_home()):
            if path not in aside.paths:
                remove_tree(self._workspace.root / path)
        _restore(self._workspace.root, aside)

    def discard(self, aside: Aside) -> None:
        """Keep the new environments; delete the old."""
        _write_journal(aside, "discarded")
        remove_tree(aside.directory)


def restore_left_aside(root: Path, directory: Path) -> None:
    """Finish what a killed process began: put back what it had set aside, delete what it had discarded."""
    for left in sorted(directory.iterdir()) if directory.is_dir() else []:
        journal: dict[str, Any] | None = read_json(left / JOURNAL)
        if journal and journal["state"] == "aside":
            _restore(root, Aside(left, tuple(journal["paths"])))
        else:
            remove_tree(left)


def _restore(root: Path, aside: Aside) -> None:
    for path in aside.paths:
        slot, place = aside.slot(path), root / path
        if os.path.lexists(slot):  # else it never left, or is back already
            remove_tree(place)
            place.parent.mkdir(parents=True, exist_ok=True)
            slot.rename(place)
    _write_journal(aside, "restored")
    remove_tree(aside.directory)


def _write_journal(aside: Aside, state: str) -> None:
    write_json(aside.directory / JOURNAL, {"state": state, "paths": list(aside.paths)})
