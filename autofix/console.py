"""Live progress of a run on a terminal: steps, time, attempts, the deciding log line, the fix and its proof."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from io import TextIOWrapper
from typing import Any, TextIO, cast

from rich.console import Console as RichConsole
from rich.markup import escape
from rich.panel import Panel
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from metabuilder.builds.models import BuildRun
from metabuilder.builds.plans import Plan
from metabuilder.builds.states import Purpose, RunStatus

SHOWN_DIFF_LINES = 60
SHOWN_LOG_LINES = 5
PURPOSES = {
    Purpose.BUILD: "",
    Purpose.RETRY: "again",
    Purpose.PROOF: "proof",
    Purpose.FLAKE_CHECK: "flake check",
    Purpose.REPLAY: "set up anew",
}
MARKS = {RunStatus.SUCCEEDED: "[green]✔[/]", RunStatus.WAITING_APPROVAL: "[yellow]⏸[/]"}


class Lasting:
    """A stream that outlives its reader: what nobody can read, or its encoding cannot say, ends no run."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with suppress(OSError):
            return self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()


class Console:
    """Tells people on `stream` what the engine does; colours and a live line only on a terminal."""

    def __init__(self, stream: TextIO) -> None:
        self.out = RichConsole(file=cast("TextIO", Lasting(stream)), highlight=False, soft_wrap=not stream.isatty())
        self.live = self.out.status("") if self.out.is_terminal else None
        self.started_at = time.monotonic()
        self.tail: deque[str] = deque(maxlen=SHOWN_LOG_LINES)

    def tell(self, event: str, /, **facts: Any) -> None:
        handler = getattr(self, f"_{event}", None)
        if handler:
            handler(**facts)

    # Before and after the run

    def plan(self, plan: Plan, origin: Sequence[str]) -> None:
        self.out.print(f"[bold]{escape(plan.name)}[/]: {len(plan.steps)} steps, {escape(origin[0])}")
        for line in origin[1:]:
            self.out.print(f"  [dim]{escape(line)}[/]")
        table = Table(show_header=False, box=None, padding=(0, 1))
        for spec in plan.order():
            table.add_row("  •", escape(spec.name), f"[dim]{spec.kind}[/]", f"[dim]{escape(_short(spec.run))}[/]")
        self.out.print(table)

    def uncommitted(self, paths: Sequence[str]) -> None:
        if paths:
            named = ", ".join(paths[:5]) + (f" and {len(paths) - 5} more" if len(paths) > 5 else "")
            self.out.print(f"[yellow]Not built:[/] uncommitted changes in {escape(named)} (--worktree includes them)")

    def confirm(self, question: str) -> bool:
        self._quiet()
        self.out.print(f"\n{question} \\[Y/n] ", end="")
        return sys.stdin.readline().strip().lower() in {"", "y", "yes"}

    def failed(self, message: str) -> None:
        self._quiet()
        self.out.print(f"[red bold]Our own failure:[/] {escape(message)}")

    def closing(self, run: BuildRun, report: Mapping[str, Any]) -> None:
        self._quiet()
        seconds = time.monotonic() - self.started_at
        mark = MARKS.get(RunStatus(run.status), "[red]✘[/]")
        word = (run.outcome or run.status).replace("_", " ")
        self.out.print(f"\n{mark} [bold]{word}[/] in {seconds:.1f} s, {len(report['attempts'])} attempts")
        if report["note"]:
            self.out.print(f"  why        {escape(report['note'])}")
        self.out.print(f"  workspace  {escape(str(report['workspace']))}")
        if report["head_commit"] != report["base_commit"]:
            self.out.print(f"  fix        branch {run.branch} at {run.head_commit[:12]}")
        if run.delivered:
            self.out.print(f"  get it     git fetch {escape(run.delivered)}")
        for gate in report["gates"]:
            self.out.print(f"  decide     manage.py gates show {gate}")
            self.out.print(f"             manage.py gates approve {gate}   (or reject, with --reason)")
        self.out.print(f"  history    manage.py autofix_history {run.pk}")
        if run.status in {RunStatus.CANCELLED, RunStatus.FAILED, RunStatus.ROLLED_BACK}:
            self.out.print(f"  go on      manage.py heal --resume {run.pk}")

    # While it runs

    def _workspace_ready(self, run: BuildRun, workspace: Any) -> None:
        self.out.print(f"run {run.pk} at {workspace.base_commit[:12]}")

    def _step_started(self, step: Any, purpose: str, command: str) -> None:
        self.tail.clear()
        label = PURPOSES[Purpose(purpose)]
        self._show(f"{step.name}{f' ({label})' if label else ''}: {_short(command)}")

    def _output(self, text: str) -> None:
        self.tail.extend(line for line in text.splitlines() if line.strip())

    def _step_ended(self, step: Any, purpose: str, result: Any) -> None:
        if purpose == Purpose.PROOF and result.execution.command != step.command:
            return  # a fixer's own command; the proof is the step's
        self._quiet()
        label = PURPOSES[Purpose(purpose)]
        name = escape(step.name) + (f" [dim]({label}: {escape(_short(result.execution.command))})[/]" if label else "")
        if result.passed:
            self.out.print(f"[green]✔[/] {name} [dim]{result.seconds:.1f} s[/]")
            return
        end = f"exit {result.exit_code}" if result.end == "exited" else result.end.replace("_", " ")
        self.out.print(f"[red]✘[/] {name} [red]{end}[/] [dim]{result.seconds:.1f} s[/]")

    def _classified(self, step: Any, signal: Any) -> None:
        self.out.print(f"  [bold]{signal.type}[/] ({signal.confidence:.2f}): {escape(signal.message)}")
        for line in signal.evidence[:3]:
            self.out.print(f"  [dim]{line.number:>6} │[/] {escape(line.text[:160])} [dim]{escape(line.rule)}[/]")

    def _decided(self, step: Any, signal: Any, decision: Any) -> None:
        self.out.print(f"  → [bold cyan]{decision.strategy}[/] {escape(decision.reason)}")

    def _waiting(self, seconds: float, reason: str) -> None:
        self._show(f"waiting {seconds:.1f} s")

    def _trial_started(self, candidate: Any, number: int) -> None:
        self._show(f"trying {candidate.key}, trial {number}")

    def _fixer_says(self, message: str) -> None:
        self.out.print(f"  [dim]{escape(message)}[/]")

    def _guarded(self, verdict: Any, diff: str) -> None:
        for finding in verdict.findings[:5]:
            self.out.print(f"  [yellow]guard:[/] {finding.rule} in {escape(finding.path)}: {escape(finding.message)}")

    def _trial_ended(self, candidate: Any, passed: bool, reason: str) -> None:
        if not passed:
            self.out.print(f"  [dim]put back:[/] {escape(reason)}")

    def _fixed(self, step: Any, candidate: Any, diff: str, proven_by: str, plan_delta: Any) -> None:
        self._quiet()
        self.out.print(f"  [green bold]fixed[/] {escape(candidate.title)}; proof: {escape(proven_by)}")
        if diff:
            lines = diff.splitlines()
            more = f"\n… {len(lines) - SHOWN_DIFF_LINES} more lines" if len(lines) > SHOWN_DIFF_LINES else ""
            text = "\n".join(lines[:SHOWN_DIFF_LINES]) + more
            body = Syntax(text, "diff", background_color="default") if self.out.is_terminal else Text(text)
            self.out.print(Panel(body, title="the fix", border_style="green") if self.out.is_terminal else body)
        if plan_delta:
            for operation in plan_delta.delta_data:
                value = escape(str(operation.get("value", "")))
                self.out.print(f"  [green]plan:[/] {operation['op']} {operation['path']} {value}")

    def _blaming(self, step: Any) -> None:
        self.out.print(f"  [dim]does {escape(step.name)} fail because of an earlier fix? running it without[/]")

    def _reverted(self, commit: str) -> None:
        self.out.print(f"  [yellow]reverted[/] {commit[:12]}: it broke a later step")

    def _gate_opened(self, gate: Any) -> None:
        self._quiet()
        self.out.print(f"  [yellow bold]waiting for a person[/]: gate {gate.pk}: {escape(gate.title)}")

    def _rolled_back(self, reason: str) -> None:
        self._quiet()
        self.out.print(f"  [red]rolled back[/]: {escape(reason)}")

    def _show(self, text: str) -> None:
        if self.live:
            self.live.update(escape(text))
            self.live.start()

    def _quiet(self) -> None:
        if self.live:
            self.live.stop()


def _short(command: str) -> str:
    line = " ".join(command.split())
    return line if len(line) <= 90 else line[:89] + "…"
