"""A bench for fixer tests: real bash in a real git repository, and a small engine that proves what a fixer proposes."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from autofix.failures import FailureSignal, FailureType
from autofix.fixers.base import CannotFix, CommandResult, Failure, TrialResult
from metabuilder.builds.plans import Plan, parse_plan

TOOLS = Path(__file__).resolve().parents[2] / ".venv" / "bin"


def environment(root: Path, extra: dict[str, str] | None = None) -> dict[str, str]:
    leaks = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "UV_EXCLUDE_NEWER", "DJANGO_SETTINGS_MODULE")
    kept = {key: value for key, value in os.environ.items() if key not in leaks}
    uv = root.parent / "uv-only"
    uv.mkdir(exist_ok=True)
    if not (uv / "uv").exists():
        (uv / "uv").symlink_to(TOOLS / "uv")
    path = [part for part in kept["PATH"].split(os.pathsep) if Path(part) != TOOLS]
    return {**kept, "PATH": os.pathsep.join([*path, str(uv)]), "UV_LINK_MODE": "copy", **(extra or {})}


@dataclass
class TempBench:
    """Runs bash in a temporary git repository, as a step runs."""

    root: Path
    env: dict[str, str] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)

    def run(self, command, *, timeout=120, cwd=".", env=None, services=False):
        self.commands.append(command)
        try:
            done = subprocess.run(
                ["bash", "-c", command],
                cwd=self.root / cwd,
                env=environment(self.root, {**self.env, **(env or {})}),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return CommandResult(exit_code=124, output="")
        return CommandResult(exit_code=done.returncode, output=done.stdout.decode("utf-8", "replace"))

    def progress(self, message):
        self.said.append(message)

    def git(self, *arguments):
        return subprocess.run(
            ["git", "-c", "user.name=T", "-c", "user.email=t@example.org", *arguments],
            cwd=self.root, check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip

    def changed(self):
        return sorted(line[3:] for line in self.git("status", "--porcelain", "-uall").splitlines())


def make_project(path: Path, files: dict[str, str]) -> TempBench:
    path.mkdir(parents=True, exist_ok=True)
    for name, text in {
        ".gitignore": ".venv/\n__pycache__/\nnode_modules/\n.*_cache/\n*.sqlite3\n",
        **files,
    }.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(text.encode())
    bench = TempBench(path)
    bench.git("init", "-q", "-b", "main")
    bench.git("add", "-A")
    bench.git("commit", "-q", "-m", "start")
    return bench


def make_plan(**steps: str | dict) -> Plan:
    """make_plan(install="…", lint={"run": "…", "kind": "lint"})"""
    kinds = {"venv": "setup", "install": "install", "lint": "lint", "types": "typecheck", "test": "test"}
    return parse_plan(
        {
            "name": "p",
            "steps": [
                {
                    "name": name,
                    "kind": kinds.get(name, "other"),
                    **({"run": step} if isinstance(step, str) else step),
                }
                for name, step in steps.items()
            ],
        }
    )


def make_failure(bench, plan, step, log="", *, type=FailureType.RUNTIME, committed_at=None, **details) -> Failure:
    signal = FailureSignal(type=type, confidence=0.9, message=(log.strip().splitlines() or [""])[-1], details=details)
    return Failure(
        signal=signal, step=plan.step(step), plan=plan, root=bench.root, log=log,
        committed_at=committed_at or datetime(2026, 6, 1, tzinfo=UTC),
    )  # fmt: skip


@dataclass
class Outcome:
    healed: bool
    plan: Plan
    summaries: list[str]
    reason: str = ""


def run_plan(bench: TempBench, plan: Plan, upto: str | None = None):
    """Run the steps; the first that fails and its result, or None."""
    for step in plan.steps:
        bench.env = dict(step.env)
        result = bench.run(step.run, timeout=step.timeout_seconds, cwd=step.cwd)
        if not result.ok:
            return step.name, result
        if step.name == upto:
            return None
    return None


def heal(fixer, failure: Failure, bench: TempBench, classify, *, max_trials: int = 8) -> Outcome:
    """Work the fixer's first candidate off as the engine does: reset between trials, prove by running the step."""
    candidate = fixer.candidates(failure)[0]
    assert candidate.gate_reason is None, candidate.gate_reason
    trials, summaries, best = fixer.trials(candidate, failure, bench), [], None
    bench.env = dict(failure.step.env)
    saved = bench.root.parent / f"{bench.root.name}.venv"
    try:
        proposal = next(trials)
        for _ in range(max_trials):
            summaries.append(proposal.summary)
            plan = proposal.plan or failure.plan
            rebuilt = proposal.rebuild or proposal.plan is not None
            if rebuilt and (bench.root / ".venv").exists() and not saved.exists():
                (bench.root / ".venv").rename(saved)
            files = {
                name: (bench.root / name).read_bytes() for name in bench.changed() if (bench.root / name).is_file()
            }
            failed = run_plan(bench, plan, failure.step.name) if rebuilt else _prove(bench, plan, failure.step.name)
            if failed is None and not proposal.keep_looking:
                return Outcome(True, plan, summaries)
            if failed is None:
                best = (plan, files)
            signal = classify(failed[0], failed[1].output) if failed else None
            bench.git("reset", "-q", "--hard")
            bench.git("clean", "-q", "-fd")
            if saved.exists():
                shutil.rmtree(bench.root / ".venv", ignore_errors=True)
                saved.rename(bench.root / ".venv")
            proposal = trials.send(
                TrialResult(
                    passed=failed is None,
                    reason="",
                    signal=signal,
                    step=failed and failed[0],
                    log=failed[1].output if failed else "",
                )
            )
    except StopIteration:
        pass
    except CannotFix as error:
        if best is None:
            return Outcome(False, failure.plan, summaries, str(error))
    if best is None:
        return Outcome(False, failure.plan, summaries, "nothing passed")
    plan, files = best
    for name, content in files.items():
        (bench.root / name).write_bytes(content)
    shutil.rmtree(bench.root / ".venv", ignore_errors=True)
    return Outcome(run_plan(bench, plan, failure.step.name) is None, plan, summaries)


def _prove(bench, plan, name):
    step = plan.step(name)
    bench.env = dict(step.env)
    result = bench.run(step.run, timeout=step.timeout_seconds, cwd=step.cwd)
    return None if result.ok else (name, result)
