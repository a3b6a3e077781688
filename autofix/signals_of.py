"""From a finished execution to its signal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from autofix.failures import FailureSignal, FailureType, classify_failure
from autofix.models import FailurePattern
from autofix.patterns.rule import CAUSE, Rule
from metabuilder.builds.logs import stored_log
from metabuilder.builds.models import BuildStep
from metabuilder.builds.plans import StepSpec
from metabuilder.builds.states import ExecutionEnd

if TYPE_CHECKING:
    from autofix.session import RunSession, StepResult

TIMED_OUT_EXIT_CODE = 124


def signal_of(spec: StepSpec, result: StepResult, *, rules: Sequence[Rule] | None = None) -> FailureSignal:
    return classify_failure(
        spec.name,
        result.log,
        exit_code=result.exit_code,
        step_kind=spec.kind.value,
        command=spec.run,
        extra_rules=rules,
    )


def tenant_rules(tenant_id: UUID) -> list[Rule]:
    """A tenant's own rules, for `classify_failure`, which is pure."""
    rows = FailurePattern.objects.filter(tenant=tenant_id, enabled=True).order_by("created_at")
    return [
        Rule(
            id=f"tenant.{row.name}",
            tool="tenant",
            type=FailureType(row.signal_type),
            weight=CAUSE,
            pattern=row.pattern,
            sample="",
        )
        for row in rows[:200]
    ]


def last_failure(session: RunSession, step: BuildStep) -> StepResult:
    """The newest execution of the step's own command on a committed tree: what has to be healed now.

    A proof that failed, a fixer's own command and a run without the fixes stand on no commit.
    """
    from autofix.session import StepResult

    execution = (
        step.executions.filter(iteration=session.run.iteration)
        .exclude(commit="")
        .exclude(end__in=["", ExecutionEnd.LOST])
        .latest("number")
    )
    seconds = (execution.finished_at - execution.started_at).total_seconds() if execution.finished_at else 0.0
    timed_out = execution.end == ExecutionEnd.TIMED_OUT
    return StepResult(
        execution=execution,
        end=execution.end,
        exit_code=TIMED_OUT_EXIT_CODE if timed_out else execution.exit_code,
        seconds=seconds,
        log=stored_log(execution.log_ref),
    )
