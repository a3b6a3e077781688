"""Failures of preparation rather than of code: a step that needs more time, a script that lost its executable bit."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from autofix import replanning
from autofix.decision import Candidate, Strategy
from autofix.failures import FailureType
from autofix.fixers import project
from autofix.fixers.base import Bench, CannotFix, Failure, Proposal, Trials

_TIME_TYPES = frozenset((FailureType.TRANSIENT, FailureType.UNKNOWN, FailureType.INFRA))
_TIMED_OUT = re.compile(r"(?m)^\[metabuilder\] step timed out after ")
_PROGRESS_LINES = 4
_DENIED = re.compile(
    r"(?m)(?:^|: |')((?:\./|/|[\w.-]+/)[\w./@+-]+)'?: (?:[Pp]ermission denied|cannot execute: Permission denied)"
)
_EXECUTABLE = 0o111


class TimeoutFixer:
    """Twice the time for a step that was still getting somewhere when its time was up."""

    name = "replan.timeout"

    def candidates(self, failure: Failure) -> Sequence[Candidate]:
        if failure.signal.type not in _TIME_TYPES or not _TIMED_OUT.search(failure.log) or not _progressed(failure.log):
            return ()
        if replanning.with_longer_timeout(failure.plan, failure.step.name) is None:
            return ()
        return [
            Candidate(
                key=f"{self.name}:{failure.step.name}",
                fixer=self.name,
                strategy=Strategy.REPLAN,
                title=f"Give {failure.step.name} twice the time",
                risk=4,
            )
        ]

    def trials(self, candidate: Candidate, failure: Failure, bench: Bench) -> Trials:
        plan = replanning.with_longer_timeout(failure.plan, failure.step.name)
        if plan is None:
            raise CannotFix("the step has a day already")
        seconds = plan.step(failure.step.name).timeout_seconds
        yield Proposal(summary=f"Let {failure.step.name} run for {seconds:g} s", plan=plan)


def _progressed(log: str) -> bool:
    """Whether the step said new things to the end: a hang says nothing, or the same over and over."""
    lines = [line.strip() for line in _TIMED_OUT.split(log)[0].splitlines() if line.strip()]
    return len(set(lines[-20:])) >= min(_PROGRESS_LINES, max(len(lines[-20:]) // 2, _PROGRESS_LINES))


class ExecutableBitFixer:
    """A script of the project that may not be executed: set the bit, change nothing else."""

    name = "files.executable"

    def candidates(self, failure: Failure) -> Sequence[Candidate]:
        if failure.signal.type is not FailureType.INFRA:
            return ()
        scripts = _scripts(failure)
        return [
            Candidate(
                key=f"{self.name}:{path}",
                fixer=self.name,
                strategy=Strategy.PATCH,
                title=f"Make {path} executable",
                risk=2,
                details={"path": path},
            )
            for path in scripts[:1]
        ]

    def trials(self, candidate: Candidate, failure: Failure, bench: Bench) -> Trials:
        for path in _scripts(failure)[:1]:
            tracked = bench.run(f"git ls-files --error-unmatch -- {shlex.quote(path)}")
            if not tracked.ok:
                raise CannotFix(f"{path} is not a file of the project")
            script = bench.root / path
            script.chmod(script.stat().st_mode | _EXECUTABLE)
            yield Proposal(summary=f"Make {path} executable")
        raise CannotFix("no script of the project lacks the executable bit")


def _scripts(failure: Failure) -> list[str]:
    """Files named by "Permission denied" that start with #! and lack the bit, relative to the workspace."""
    named = _DENIED.findall(failure.log)
    detail = failure.signal.details.get("path")
    found = []
    for name in dict.fromkeys([*named, *([detail] if isinstance(detail, str) else [])]):
        path = _lacking(failure.root, Path(failure.step.cwd) / name) or _lacking(failure.root, Path(name))
        if path:
            found.append(path)
    return found


def _lacking(root: Path, path: Path) -> str | None:
    full = project.inside(root, path)
    try:
        if full is None or (root / path).is_symlink() or full.stat().st_mode & _EXECUTABLE:
            return None
        with full.open("rb") as file:
            starts = file.read(2)
    except OSError:
        return None
    return os.path.relpath(full, root.resolve()) if starts == b"#!" else None
