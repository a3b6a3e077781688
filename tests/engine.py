"""Whole runs for tests: a real repository, a plan of small shell steps, and the engine that works them off."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.db import connection, connections
from django.utils import timezone

from approvals.models import ApprovalGate
from approvals.services import approve_gate, reject_gate
from autofix import fixers, orchestrator
from autofix.decision import Candidate, Strategy
from autofix.fixers.base import Proposal
from autofix.models import AutoFixRun
from metabuilder.audit.models import AuditEvent
from metabuilder.builds.accounts import local_user
from metabuilder.builds.models import BuildRun, StepExecution
from metabuilder.builds.plans import parse_plan
from metabuilder.builds.runs import create_run, request_cancel
from metabuilder.builds.workspaces import Workspace
from tests.builds.repositories import listing, make_repository

RUFF = shlex.quote(str(Path(sys.executable).with_name("ruff")))
CUT_OFF = "curl: (28) Operation timed out after 30001 milliseconds with 0 out of 0 bytes received"
ASSERTION = """\
=================================== FAILURES ===================================
________________________________ test_addition _________________________________

    def test_addition():
>       assert add(1, 1) == 2
E       assert 3 == 2
E        +  where 3 = add(1, 1)

tests/test_add.py:5: AssertionError
=========================== short test summary info ============================
FAILED tests/test_add.py::test_addition - assert 3 == 2
============================== 1 failed in 0.03s ===============================
"""
LEAK = """\
Finding:     aws_key = "REDACTED"
Secret:      REDACTED
RuleID:      aws-access-token
File:        settings.py
Line:        3

9:41AM INF 12 commits scanned.
9:41AM WRN leaks found: 1
"""
FINDING = "app.py:1:8: F401 [*] `os` imported but unused\nFound 1 error.\n[*] 1 fixable with the `--fix` option."
UNUSED_IMPORT = "import os\n\nx = 1\n"
FAST = {"TRANSIENT": {"base_delay": 0.02}, "UNKNOWN": {"base_delay": 0.02}, "RUNTIME": {"base_delay": 0.02}}


def says(text: str, code: int = 1) -> str:
    """A command that prints a text and fails."""
    return f"printf '%s\\n' {shlex.quote(text)}; exit {code}"


def fails_times(count: int, text: str, *, name: str = "count") -> str:
    """A command that fails `count` times with a text, counting in an ignored directory, and then passes."""
    file = f".scratch/{name}"
    return f'mkdir -p .scratch; echo x >> {file}; if [ "$(wc -l < {file})" -le {count} ]; then {says(text)}; fi'


@dataclass
class Told:
    """A progress listener that remembers what it was told."""

    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def tell(self, event: str, /, **facts: Any) -> None:
        self.events.append((event, facts))

    def names(self) -> list[str]:
        return [event for event, _ in self.events]


@dataclass
class Build:
    """One run and what tests ask about it."""

    run: BuildRun
    source: Path

    def go(self, *, wait: bool = True, **options: Any) -> BuildRun:
        orchestrator.advance(self.run.pk, wait=wait, **options)
        return self.again()

    def again(self) -> BuildRun:
        self.run = BuildRun.objects.get(pk=self.run.pk)
        return self.run

    @property
    def workspace(self) -> Workspace:
        from django.conf import settings

        return Workspace.inspect(data_dir=settings.METABUILDER_DATA_DIR, run_id=str(self.run.pk))

    @property
    def root(self) -> Path:
        return self.workspace.root

    @property
    def attempts(self) -> list[AutoFixRun]:
        return list(AutoFixRun.objects.filter(run=self.run).order_by("created_at"))

    def outcomes(self) -> list[tuple[str, str | None, str]]:
        return [(a.signal_type, a.strategy, a.outcome) for a in self.attempts]

    def statuses(self) -> dict[str, str]:
        return dict(self.run.steps.values_list("name", "status"))

    def executions(self, step: str = "") -> list[tuple[str, str]]:
        rows = StepExecution.objects.filter(step__run=self.run).order_by("started_at")
        return [(e.purpose, e.end) for e in (rows.filter(step__name=step) if step else rows)]

    @property
    def gate(self) -> ApprovalGate:
        return ApprovalGate.objects.filter(run=self.run).latest("created_at")

    def approve(self) -> ApprovalGate:
        return approve_gate(self.gate, actor=self.run.created_by)

    def reject(self, comment: str = "no") -> ApprovalGate:
        return reject_gate(self.gate, actor=self.run.created_by, comment=comment)

    def files(self) -> dict[str, tuple[str, ...]]:
        return listing(self.root, skip=(".git", ".scratch"))


def start(
    tmp_path: Path,
    steps: list[dict[str, Any]],
    files: dict[str, str | bytes] | None = None,
    *,
    foreground: bool = True,
    **options: Any,
) -> Build:
    """Make a repository and a run of it. Steps get short retry delays unless they say otherwise."""
    tenant, user = local_user()
    source = make_repository(tmp_path / "source", {".gitignore": ".scratch/\n", "app.py": "x = 1\n", **(files or {})})
    specs = [{"kind": "build", "retry": FAST, **step} for step in steps]
    plan = parse_plan({"name": "sample", "steps": specs})
    run = create_run(tenant=tenant, actor=user, source=str(source), plan=plan, foreground=foreground, **options)
    return Build(run, source)


class Editing:
    """A plugged-in fixer that works off one function: `edit(bench)` yields proposals, as fixers do."""

    name = "test.editing"

    def __init__(self, edit, *, types=None, key="test:edit", risk=3, gate_reason=None, strategy=Strategy.PATCH):
        self.edit, self.types = edit, types
        self.candidate = Candidate(
            key=key, fixer=self.name, strategy=strategy, title="edit it", risk=risk, gate_reason=gate_reason
        )

    def candidates(self, failure):
        return [self.candidate] if self.types is None or failure.signal.type in self.types else []

    def trials(self, candidate, failure, bench):
        yield from self.edit(bench, failure)


def writes(path: str, content: str, **proposal: Any):
    """An edit that writes one file and proposes that."""

    def edit(bench, failure):
        (bench.root / path).write_text(content)
        yield Proposal(summary=f"Write {path}", **proposal)

    return edit


def plug_in(monkeypatch, *plugged) -> None:
    """Make these the only fixers there are, as if their entry points were installed."""
    monkeypatch.setattr(fixers, "all_fixers", lambda: plugged)


def kill_engine(build: Build, arrange: Callable[[Callable[[], None]], Told | None], **options: Any) -> None:
    """Advance a run in a process of its own that kills itself (SIGKILL) where `arrange` says.

    `arrange(die)` runs there first: it patches something to call `die`, or returns a listener that does. The lease
    is then let expire, as its time would.
    """
    connections.close_all()  # the child must not share them
    child = os.fork()
    if not child:
        try:
            listener = arrange(lambda: os.kill(os.getpid(), signal.SIGKILL))
            orchestrator.advance(build.run.pk, wait=True, progress=listener, **options)
        finally:
            os._exit(1)  # it was not killed: the status below says so
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "the engine ended before the point where it was to be killed"
    BuildRun.objects.filter(pk=build.run.pk).update(lease_expires_at=timezone.now() - timedelta(seconds=1))


def at(event: str, *, number: int = 1, **facts: Any) -> Callable[[Callable[[], None]], Told]:
    """For `kill_engine`: die when `event` is told for the `number`-th time with these facts."""

    def arrange(die: Callable[[], None]) -> Told:
        class Deadly(Told):
            def tell(self, name: str, /, **told: Any) -> None:
                super().tell(name, **told)
                same = [t for e, t in self.events if e == event and facts.items() <= t.items()]
                if name == event and len(same) == number:
                    die()

        return Deadly()

    return arrange


def after(owner: Any, name: str) -> Callable[[Callable[[], None]], None]:
    """For `kill_engine`: die when a call of `owner.name` has returned."""

    def arrange(die: Callable[[], None]) -> None:
        original = getattr(owner, name)

        def dying(*args: Any, **kwargs: Any) -> Any:
            original(*args, **kwargs)
            die()

        setattr(owner, name, dying)

    return arrange


def events(build, kind):
    return AuditEvent.objects.filter(event_type=kind, subject_id=str(build.run.pk)).order_by("seq")


def gated(tmp_path, **options):
    """A run that waits at the gate of a security finding which goes away when somebody says so."""
    return start(
        tmp_path,
        [{"name": "scan", "kind": "security", "run": f"test -e .scratch/fine || {{ {says(LEAK)}; }}"}],
        **options,
    )


def proposing(tmp_path, monkeypatch, edit=None, **fixer):
    """A run whose only fix needs a person: it writes a protected file."""
    edit = edit or writes("CODEOWNERS", "* @team\n")
    plug_in(monkeypatch, Editing(edit, **fixer))
    return start(
        tmp_path,
        [
            {"name": "make", "run": "echo made > made.txt"},
            {"name": "lint", "kind": "lint", "run": f"test -s CODEOWNERS || {{ {says(FINDING)}; }}"},
        ],
        {"CODEOWNERS": ""},
    )


def cancelling(build):
    """A listener that asks to cancel from another thread as soon as a step has said `ready`."""

    class Canceller(Told):
        asked = False

        def tell(self, event, /, **facts):
            if event == "output" and "ready" in facts["text"] and not self.asked:
                self.asked = True
                thread = threading.Thread(target=self.cancel)
                thread.start()
                thread.join()

        def cancel(self):
            try:
                request_cancel(BuildRun.objects.get(pk=build.run.pk), actor=None)
            finally:
                connection.close()

    return Canceller()
