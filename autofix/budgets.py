"""What a run may spend. An attempt is charged before it starts, in the transaction that decides on it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import Count, F, Q
from django.utils import timezone

from autofix import metrics
from autofix.decision import Decision, RetrySnapshot, Strategy
from autofix.failures import FailureSignal, FailureType
from autofix.models import AutoFixRun, RetryState
from autofix.ranking import History
from autofix.states import AttemptOutcome
from metabuilder.audit.services import record_event
from metabuilder.builds.errors import TransitionRefused
from metabuilder.builds.leases import Lease
from metabuilder.builds.models import BuildRun, BuildStep
from metabuilder.builds.plans import StepSpec

if TYPE_CHECKING:
    from autofix.policy import RetryPolicy
    from settings_flags.resolution import EffectiveSettings

logger = logging.getLogger("autofix")

AUDITED = {
    Strategy.RETRY: "autofix.retry",
    Strategy.ESCALATE: "autofix.escalated",
    Strategy.ROLLBACK: "autofix.rolled_back",
}


def log_fields(run: BuildRun, step: BuildStep | None = None, **facts: object) -> dict[str, object]:
    """The fields every log line of the engine carries."""
    fields = {"run_id": str(run.pk), "tenant": run.tenant.slug, "trace_id": run.pk.hex, **facts}
    return {**fields, "step_id": str(step.pk)} if step else fields


def start_iteration(run: BuildRun, settings: EffectiveSettings, policy: RetryPolicy) -> None:
    """Give the iteration its budgets, written from the settings in force now. Called under the lease."""
    RetryState.objects.update_or_create(
        run=run,
        defaults={
            "total_attempts": 0,
            "per_step_attempts": {},
            "last_backoff_seconds": None,
            "max_total_attempts": min(settings.max_total_attempts, policy.max_total_attempts),
            "max_per_step_attempts": min(settings.max_per_step_attempts, policy.max_per_step_attempts),
            "updated_at": timezone.now(),
        },
    )


def retry_snapshot(
    step: BuildStep,
    spec: StepSpec,
    signal: FailureSignal,
    *,
    remaining_seconds: float | None,
    kill_switch: bool,
) -> RetrySnapshot:
    """Read what has been spent and learned for a failed step."""
    run = step.run
    state = RetryState.objects.get(run=run)
    attempts = list(
        AutoFixRun.objects.filter(run=run, step=step, iteration=run.iteration)
        .exclude(outcome=AttemptOutcome.SUPERSEDED)
        .order_by("created_at")
    )
    retries: dict[FailureType, int] = {}
    for row in attempts:
        if row.strategy == Strategy.RETRY and not _is_flake_check(row):
            retries[FailureType(row.signal_type)] = retries.get(FailureType(row.signal_type), 0) + 1
    fixes = [row for row in attempts if row.candidate_key and row.fingerprint == signal.fingerprint]
    last = next((row for row in reversed(fixes) if row.outcome == AttemptOutcome.SUCCEEDED), None)
    harmful = AutoFixRun.objects.filter(
        run__tenant=run.tenant_id, run__source=run.source, fingerprint=signal.fingerprint, harmful=True
    ).values_list("candidate_key", flat=True)
    return RetrySnapshot(
        total_attempts=state.total_attempts,
        step_attempts=state.per_step_attempts.get(step.name, 0),
        max_total_attempts=state.max_total_attempts,
        max_per_step_attempts=state.max_per_step_attempts,
        retries=retries,
        tried=frozenset(row.candidate_key for row in fixes),
        harmful=frozenset(harmful[:1000]),
        flake_checks=sum(_is_flake_check(row) for row in attempts),
        last_fix_key=last.candidate_key if last else None,
        same_failure_after_fix=last is not None,
        effects=spec.effects.value,
        kind=spec.kind.value,
        deadline_passed=remaining_seconds is not None and remaining_seconds <= 0,
        remaining_seconds=remaining_seconds,
        kill_switch=kill_switch,
    )


def _is_flake_check(row: AutoFixRun) -> bool:
    return bool((row.decision or {}).get("flake_check"))


def history(run: BuildRun, fingerprint: str) -> list[History]:
    """Return what became of each candidate that this tenant has tried on this failure before."""
    rows = (
        AutoFixRun.objects.filter(
            run__tenant=run.tenant_id,
            fingerprint=fingerprint,
            outcome__in=[AttemptOutcome.SUCCEEDED, AttemptOutcome.FAILED, AttemptOutcome.ROLLED_BACK],
        )
        .exclude(candidate_key="")
        .values_list("candidate_key")
        .annotate(tried=Count("pk"), healed=Count("pk", filter=Q(outcome=AttemptOutcome.SUCCEEDED, harmful=False)))
    )
    return [History(key=key, tried=tried, healed=healed) for key, tried, healed in rows[:500]]


@transaction.atomic
def charge_attempt(
    step: BuildStep, signal: FailureSignal, decision: Decision, *, lease: Lease, free: bool = False
) -> AutoFixRun:
    """Record an attempt as pending and spend its budget. `free`: people are asked, which costs nothing."""
    lease.hold()
    run = step.run
    state = RetryState.objects.select_for_update().get(run=run)
    spent = state.per_step_attempts.get(step.name, 0)
    if not free:
        state.per_step_attempts = {**state.per_step_attempts, step.name: spent + 1}
        RetryState.objects.filter(pk=state.pk).update(
            attempt_counter=F("attempt_counter") + 1,
            total_attempts=F("total_attempts") + 1,
            per_step_attempts=state.per_step_attempts,
            last_backoff_seconds=decision.delay_seconds if decision.strategy is Strategy.RETRY else None,
            updated_at=timezone.now(),
        )
    attempt = AutoFixRun.objects.create(
        run=run,
        step=step,
        signal_type=signal.type.value,
        strategy=decision.strategy.value,
        outcome=AttemptOutcome.PENDING,
        attempt=spent + 1,
        backoff=decision.delay_seconds if decision.strategy is Strategy.RETRY else None,
        iteration=run.iteration,
        fingerprint=signal.fingerprint,
        candidate_key=decision.candidate.key if decision.candidate else "",
        decision=decision.record(),
    )
    if event := AUDITED.get(decision.strategy):
        payload = {"step": step.name, "signal_type": signal.type.value, "reason": decision.reason}
        record_event(event, tenant=run.tenant, subject=run, payload=payload | {"attempt": attempt.attempt})
    if attempt.backoff is not None and not decision.flake_check:
        metrics.backoff_seconds.observe(attempt.backoff)
    _log("attempt charged", attempt)
    return attempt


def finish_attempt(attempt: AutoFixRun, outcome: AttemptOutcome, *, lease: Lease, **changes: object) -> None:
    """Move an attempt out of pending, once; TransitionRefused where it had left it already."""
    with transaction.atomic():
        lease.hold()
        _move(attempt, outcome, **changes)


def _move(attempt: AutoFixRun, outcome: AttemptOutcome, **changes: object) -> None:
    rows = AutoFixRun.objects.filter(pk=attempt.pk, outcome=AttemptOutcome.PENDING)
    if not rows.update(outcome=outcome, updated_at=timezone.now(), **changes):
        raise TransitionRefused(f"attempt {attempt.pk}", AttemptOutcome.PENDING, outcome)
    transaction.on_commit(metrics.attempts_total.labels(attempt.signal_type, outcome.value).inc)
    attempt.refresh_from_db()
    transaction.on_commit(lambda: _log("attempt ended", attempt))


def supersede_pending(run: BuildRun, **which: object) -> None:
    """End attempts whose work was cut off: they count for nothing, and what they spent stays spent. Leased."""
    for attempt in AutoFixRun.objects.filter(run=run, outcome=AttemptOutcome.PENDING, **which):
        _move(attempt, AttemptOutcome.SUPERSEDED)


def any_reverted(run: BuildRun) -> bool:
    """Whether a fix of this iteration was taken back, so that steps may have passed with what is gone."""
    return AutoFixRun.objects.filter(run=run, iteration=run.iteration, harmful=True).exists()


def _log(message: str, attempt: AutoFixRun) -> None:
    logger.info(
        message,
        extra=log_fields(
            attempt.run,
            attempt.step,
            signal_type=attempt.signal_type,
            strategy=attempt.strategy,
            outcome=attempt.outcome,
            attempt=attempt.attempt,
        ),
    )
