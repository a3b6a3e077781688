"""What a proof is, and what a plan's steps are to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from autofix import guard
from autofix.failures import FailureSignal, FailureType
from autofix.fixers.base import Proposal, TrialResult
from metabuilder.builds.plans import Effects, Plan, StepKind, StepSpec

if TYPE_CHECKING:
    from metabuilder.builds.candidates import CandidateDiff, FrozenCandidate

SHOWN_DIFF_BYTES = 64 * 1024
SET_UP_KINDS = frozenset({StepKind.SETUP, StepKind.INSTALL})


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """A proposal as it was tried. `level` is the highest rung reached; `frozen` its content, if it changed files."""

    proposal: Proposal
    diff: CandidateDiff
    frozen: FrozenCandidate | None
    verdict: guard.Verdict
    level: int = 0
    reason: str = ""
    moved_on: FailureSignal | None = None  # the proof failed differently, further on
    signal: FailureSignal | None = None
    failed_step: str | None = None
    log: str = ""
    executions: tuple[Any, ...] = ()  # primary keys of the executions that are its proof
    unproven: bool = False  # people are asked before it is run at all
    prepared: tuple[str, ...] = ()  # names of the steps that ran before the failed one

    @property
    def passed(self) -> bool:
        return self.level >= 3

    @property
    def progressed(self) -> bool:
        return self.passed or self.moved_on is not None

    def told(self) -> TrialResult:
        """What its fixer learns of it: what only moves the failure on has not passed."""
        return TrialResult(
            passed=self.passed, reason=self.reason, signal=self.signal, step=self.failed_step, log=self.log
        )


# What a step gets through before it can fail as this type: a tool, then the program, then its tests.
_STAGE = {FailureType.INFRA: 0, FailureType.RUNTIME: 1, FailureType.TEST_ASSERT: 2}


def further_on(before: FailureSignal, after: FailureSignal) -> bool:
    """Whether `after` can only be seen once what caused `before` is mended. Different alone is not further."""
    if before.type not in _STAGE or after.type not in _STAGE:
        return False
    return _STAGE[after.type] > _STAGE[before.type] and after.fingerprint != before.fingerprint


def before(plan: Plan, name: str) -> list[StepSpec]:
    earlier = []
    for spec in plan.order():
        if spec.name == name:
            break
        earlier.append(spec)
    return earlier


def is_set_up(spec: StepSpec) -> bool:
    """Whether the step builds environments, and may do so again."""
    return spec.kind in SET_UP_KINDS and spec.effects is not Effects.EXTERNAL


def is_check(spec: StepSpec) -> bool:
    return spec.effects is Effects.NONE


def findings_text(verdict: guard.Verdict) -> str:
    return "; ".join(f"{f.rule} in {f.path}: {f.message}" for f in verdict.findings[:5])


def verdict_record(verdict: guard.Verdict) -> dict[str, Any]:
    return {
        "action": verdict.action,
        "findings": [
            {"rule": f.rule, "path": f.path, "line": f.line, "message": f.message, "action": f.action}
            for f in verdict.findings[:50]
        ],
    }
