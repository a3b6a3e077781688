"""Django migrations that are missing or conflict: let Django make them, then look at what it made.

Never faked, never edited: existing migrations stay as they are, and what could lose data is left to a person.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from autofix.decision import Candidate, Strategy
from autofix.failures import FailureType
from autofix.fixers import project
from autofix.fixers.base import Bench, CannotFix, CommandResult, Failure, Proposal, Trials
from autofix.fixers.installs import python_of
from autofix.fixers.migration_text import Migration, read_migration, why_not_automatic, why_not_merge
from autofix.fixers.shell import base_name, parse, runs_others

_TYPES = frozenset((FailureType.SCHEMA_MIGRATION, FailureType.RUNTIME, FailureType.TEST_ASSERT))
_LEAVES = re.compile(r"multiple leaf nodes in the migration graph:\s*\(([^)]*)\)", re.S)
_LEAVES_OF_APP = re.compile(r"([\w, \n]+?) in (\w+)(?:;|$)")
_PENDING = re.compile(
    r"(?m)^Migrations for '(\w+)':|have changes that are not yet reflected in a migration|"
    r"[Nn]o such (?:table|column): |(?:relation|column) \S+ (?:of relation \S+ )?does not exist|"
    r"Unknown column '|table \S+ has no column named "
)
_PENDING_APPS = re.compile(r"(?m)^Migrations for '(\w+)':")
_REFLECTED = re.compile(r"in app\(s\): (.+?) have changes that are not yet reflected")
_QUESTION = re.compile(r"(?m)^(?:Field .* not migrated: .*|.*(?:You are trying to|It is impossible to) .*)$")


@dataclass(frozen=True, slots=True)
class Site:
    """How to call the project's management commands: bash text up to the command's name, run in `cwd`."""

    call: str
    cwd: str
    folder: Path


def find_site(failure: Failure) -> Site | None:
    """From the failing step where it calls manage.py, else from the file and the interpreter that the plan uses."""
    root = failure.root
    for text in project.expand(root, failure.step.run, failure.step.cwd):
        for command in parse(text):
            for index, value in enumerate(command.values):
                if base_name(value) == "manage.py" and (index == 0 or _runs_python(command.values[:index])):
                    call = command.text([word.raw for word in command.words[: index + 1]])
                    moves = [part[3:].strip("'\"") for part in command.before if part.startswith("cd ")]
                    return Site(call, failure.step.cwd, (root.joinpath(failure.step.cwd, *moves) / value).parent)
    found = sorted((path for path in project.files(root, "manage.py") if base_name(path) == "manage.py"), key=len)
    if not found or "DJANGO_SETTINGS_MODULE" not in (project.read(root, found[0]) or ""):
        return None
    folder = Path(found[0]).parent
    python = python_of(failure.plan, root)
    python = f'"$OLDPWD"/{python}' if "/" in python and folder != Path() else python
    move = f"cd {shlex.quote(str(folder))} && " if folder != Path() else ""
    return Site(f"{move}{python} manage.py", ".", root / folder)


def _runs_python(words: Sequence[str]) -> bool:
    return base_name(words[-1]).startswith(("python", "coverage", "run")) or runs_others(words)


def conflicts(log: str) -> dict[str, list[str]]:
    """The apps whose graphs have several leaves, and those leaves, as Django names them."""
    found = _LEAVES.search(log)
    parts = _LEAVES_OF_APP.findall(found[1]) if found else []
    return {
        app: [leaf.strip() for leaf in leaves.replace("\n", "").split(",") if leaf.strip()] for leaves, app in parts
    }


def pending_apps(log: str) -> list[str]:
    named = _PENDING_APPS.findall(log)
    reflected = _REFLECTED.search(log)
    if reflected:
        named += re.findall(r"\w+", reflected[1])
    return list(dict.fromkeys(named))


def migrations_of(root: Path, folder: Path, app: str) -> dict[str, Migration]:
    """The migrations of an app by name, found by its folder's name."""
    found: dict[str, Migration] = {}
    for path in project.files(folder, ".py"):
        parts = Path(path).parts
        if len(parts) >= 3 and parts[-2] == "migrations" and parts[-3] == app and parts[-1] != "__init__.py":
            migration = read_migration(Path(path).stem, project.read(folder, path) or "")
            if migration:
                found[migration.name] = migration
    return found


def migration_files(folder: Path) -> set[str]:
    return {path for path in project.files(folder, ".py") if Path(path).parent.name == "migrations"}


class MakeMigrations:
    name = "django.makemigrations"

    def candidates(self, failure: Failure) -> Sequence[Candidate]:
        if failure.signal.type not in _TYPES or conflicts(failure.log) or not _PENDING.search(failure.log):
            return ()
        if find_site(failure) is None:
            return ()
        apps = pending_apps(failure.log)
        label = ",".join(apps) or "all"
        return [
            Candidate(
                key=f"{self.name}:{label}",
                fixer=self.name,
                strategy=Strategy.PATCH,
                title=f"Make the missing migrations{f' of {label}' if apps else ''}",
                risk=2,
                details={"apps": apps},
            )
        ]

    def trials(self, candidate: Candidate, failure: Failure, bench: Bench) -> Trials:
        site, apps = _site(failure), pending_apps(failure.log)
        before = migration_files(site.folder)
        result = bench.run(f"{site.call} makemigrations --noinput {' '.join(apps)}".rstrip(), cwd=site.cwd)
        new = sorted(migration_files(site.folder) - before)
        if not result.ok:
            raise CannotFix(_why_failed(result))
        if not new:
            raise CannotFix("Django sees no change that lacks a migration")
        read = [read_migration(Path(path).stem, project.read(site.folder, path) or "") for path in new]
        earlier = [read_migration(Path(path).stem, project.read(site.folder, path) or "") for path in sorted(before)]
        if None in read:
            raise CannotFix("a generated migration could not be read")
        reason = why_not_automatic([m for m in read if m], [m for m in earlier if m])
        if reason:
            raise CannotFix(f"{reason}; a person has to decide")
        yield Proposal(summary=f"Make migration {', '.join(Path(path).stem for path in new)}")


class MergeMigrations:
    name = "django.merge"

    def candidates(self, failure: Failure) -> Sequence[Candidate]:
        apps = conflicts(failure.log)
        if failure.signal.type not in _TYPES or not apps or find_site(failure) is None:
            return ()
        return [
            Candidate(
                key=f"{self.name}:{','.join(apps)}",
                fixer=self.name,
                strategy=Strategy.PATCH,
                title=f"Merge the migration branches of {', '.join(apps)}",
                risk=2,
                details={"apps": list(apps)},
            )
        ]

    def trials(self, candidate: Candidate, failure: Failure, bench: Bench) -> Trials:
        site, apps = _site(failure), conflicts(failure.log)
        for app, leaves in apps.items():
            reason = why_not_merge(migrations_of(bench.root, site.folder, app), app, leaves)
            if reason:
                raise CannotFix(f"{reason}; a person has to decide")
        before = migration_files(site.folder)
        result = bench.run(f"{site.call} makemigrations --merge --noinput {' '.join(apps)}", cwd=site.cwd)
        new = sorted(migration_files(site.folder) - before)
        if not result.ok or not new:
            raise CannotFix(_why_failed(result))
        check = bench.run(f"{site.call} makemigrations --check --dry-run", cwd=site.cwd)
        if not check.ok:
            raise CannotFix(
                f"after the merge the models and the migrations still differ: {check.output.strip()[-300:]}"
            )
        yield Proposal(summary=f"Merge migrations: {', '.join(Path(path).stem for path in new)}")


def _site(failure: Failure) -> Site:
    site = find_site(failure)
    if site is None:
        raise CannotFix("no manage.py")
    return site


def _why_failed(result: CommandResult) -> str:
    asked = _QUESTION.search(result.output)
    if asked:
        return f"Django needs a person's answer: {asked[0].strip()[:300]}"
    lines = [line for line in result.output.splitlines() if line.strip()]
    return f"makemigrations failed: {lines[-1].strip()[:300] if lines else f'exit {result.exit_code}'}"
