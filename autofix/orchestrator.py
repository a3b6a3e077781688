"""The loop over a run's steps: the one place where the pure core meets database, git, processes and queue."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.db import InterfaceError, OperationalError, transaction
from django.utils import timezone

from approvals.rules import GateStatus
from autofix import budgets, ending
from autofix.approved import act_on_decision, perform, refused, unfinished
from autofix.confirming import Confirmation
from autofix.delivery import deliver
from autofix.escalation import latest_gate
from autofix.healing import Healer, Next
from autofix.models import AutoFixRun
from autofix.policy import RetryPolicy
from autofix.progress import Progress
from autofix.report import attempt_record
from autofix.session import RunSession, Stopped, close_execution, exit_code_of
from autofix.states import AttemptOutcome
from autofix.takeover import opened
from metabuilder.builds.commands import ExecutionResult
from metabuilder.builds.errors import LeaseBusy, LeaseLost, RunHeld
from metabuilder.builds.leases import Lease, take_lease
from metabuilder.builds.models import BuildRun, BuildStep, StepExecution
from metabuilder.builds.plans import Effects, StepSpec
from metabuilder.builds.queue import enqueue_advance
from metabuilder.builds.runs import sync_steps
from metabuilder.builds.states import ENDED_RUNS, ExecutionEnd, Purpose, RunOutcome, RunStatus, StepStatus
from metabuilder.builds.transitions import move_run, move_step

logger = logging.getLogger("autofix")

# After so long a task hands over to a new message between steps, so that no tenant holds a worker for ever.
HAND_OVER_AFTER_SECONDS = 300.0


def advance(
    run_id: UUID | str,
    *,
    progress: Progress | None = None,
    wait: bool = False,
    policy: RetryPolicy | None = None,
) -> None:
    """Take the run's lease and go on with it until it ends or has to wait. Safe to call twice or late.

    `wait`: wait out backoffs here. Raises LeaseBusy while somebody else works on it.
    """
    lease = take_lease(run_id)
    with lease.heartbeat():
        try:
            _work(lease, progress=progress, wait=wait, policy=policy)
        except LeaseLost:
            logger.warning("lease lost; another holder has the run", extra={"run_id": str(run_id)})


def _work(
    lease: Lease,
    *,
    progress: Progress | None,
    wait: bool,
    policy: RetryPolicy | None,
    only: BuildStep | None = None,
) -> None:
    """Go on with a leased run, or with one step of it."""
    try:
        with opened(lease, progress=progress, wait=wait, policy=policy) as session:
            if session:
                _Loop(session, only=only).go()
    except (LeaseLost, OperationalError, InterfaceError):
        raise  # nothing can be written now; the reconciler tries again, and `lost_holders` counts
    except Exception as error:
        # The boundary: whatever broke is ours, not the user's. The run ends and says so, instead of being
        # taken up again and again.
        logger.exception("our own failure", extra={"run_id": str(lease.run_id)})
        ending.end_broken(lease, error)
        raise


STOPPED_BY = {"deadline": "the run's deadline has passed", "kill_switch": "the kill switch is engaged"}


class _Loop:
    """Works through the steps of one session's run."""

    def __init__(self, session: RunSession, *, only: BuildStep | None = None) -> None:
        self.session, self.only = session, only
        self.healer = Healer(session=session)
        self.confirmation = Confirmation(session=session)
        self.started_at = time.monotonic()

    def go(self) -> None:
        session = self.session
        try:
            if not self._enter():
                return
            session.progress.tell("workspace_ready", run=session.run, workspace=session.workspace)
            while self._one_move():
                pass
        except Stopped as stopped:
            if stopped.reason == "cancelled":
                ending.cancel(session)
            else:
                ending.give_up(session, STOPPED_BY[stopped.reason])
        session.run.refresh_from_db()
        if session.run.status in ENDED_RUNS:
            session.progress.tell("run_ended", run=session.run)

    def _enter(self) -> bool:
        """Bring the run to running, from wherever it stands; False where it has to wait on, or has ended."""
        session, run = self.session, self.session.run
        if run.cancel_requested_at:
            raise Stopped("cancelled")
        match RunStatus(run.status):
            case RunStatus.QUEUED:
                self._start()
            case RunStatus.WAITING_RETRY:
                return self._wait_out()
            case RunStatus.WAITING_APPROVAL:
                return self._decided()
            case _:
                gate = latest_gate(session)
                if gate and refused(gate):
                    return act_on_decision(session, self.healer, gate)
                if gate and unfinished(gate):
                    return perform(session, self.healer, gate)
        return True

    def _start(self) -> None:
        session, run = self.session, self.session.run
        now = timezone.now()
        seconds = session.settings.run_deadline_seconds
        # A manual retry starts from the files of the base commit.
        if run.iteration > 1:
            session.workspace.reset_to(session.workspace.base_commit)
        with transaction.atomic():
            move_run(
                run,
                RunStatus.RUNNING,
                lease=session.lease,
                started_at=now,
                deadline_at=now + timedelta(seconds=seconds) if seconds else None,
                head_commit=session.workspace.head_commit,
                plan=ending.first_version(run.plan),
            )
            if run.iteration > 1:
                budgets.supersede_pending(run)
                sync_steps(run, run.plan.plan())
            budgets.start_iteration(run, session.settings, session.policy)
        run.refresh_from_db()

    def _wait_out(self, *, here: bool = False) -> bool:
        session, run = self.session, self.session.run
        while run.wake_at and (seconds := (run.wake_at - timezone.now()).total_seconds()) > 0:
            if not (session.wait or here):
                return False  # its message is due then
            session.check_stop()
            session.check_kill_switch()
            time.sleep(min(seconds, 0.2))
        session.check_kill_switch()
        with transaction.atomic():
            move_run(run, RunStatus.RUNNING, lease=session.lease)
        return True

    def _decided(self) -> bool:
        gate = latest_gate(self.session)
        if gate is None or gate.status == GateStatus.PENDING:
            return False
        return act_on_decision(self.session, self.healer, gate)

    def _one_move(self) -> bool:
        """Execute the next step or handle its failure. False where the run ended or has to wait."""
        session = self.session
        session.check_stop()
        step = self._next_step()
        if step is None:
            if self._all_done():
                self._finish()
            return False
        if step.status == StepStatus.FAILED:
            following = self.healer.handle_failure(step)
            if following is Next.PARKED and session.run.status == RunStatus.WAITING_RETRY:
                # What the steps left running for the later ones would not survive parking.
                return self._wait_out(here=session.has_background())
            return following is Next.GO_ON
        spent = time.monotonic() - self.started_at
        if spent > HAND_OVER_AFTER_SECONDS and not session.wait and not session.has_background():
            # Not at once: whoever takes the message while the lease is still ours would drop it.
            enqueue_advance(session.run.pk, timezone.now() + timedelta(seconds=1))
            return False
        return self._execute(step)

    def _next_step(self) -> BuildStep | None:
        rows = {step.name: step for step in self.session.run.steps.all()}
        for spec in self.session.plan.order():
            step = rows[spec.name]
            if self.only and step.pk != self.only.pk:
                continue
            if step.status in {StepStatus.SUCCEEDED, StepStatus.SKIPPED}:
                continue
            # What leaves the workspace is only done with what the checks have seen.
            before = self.confirmation.first_that_fails() if spec.effects is Effects.EXTERNAL else None
            step.run = self.session.run
            return before or step
        return None if self.only else self.confirmation.first_that_fails()

    def _all_done(self) -> bool:
        done = {StepStatus.SUCCEEDED, StepStatus.SKIPPED}
        return not self.session.run.steps.exclude(status__in=done).exists()

    def _execute(self, step: BuildStep) -> bool:
        session = self.session
        spec = session.plan.step(step.name)
        attempt = AutoFixRun.objects.filter(
            step=step, iteration=session.run.iteration, outcome=AttemptOutcome.PENDING
        ).first()
        if (handled := self._after_lost_effect(step, spec)) is not None:
            return handled is Next.GO_ON
        purpose = _purpose(step, attempt)
        with transaction.atomic():
            move_step(step, StepStatus.RUNNING, lease=session.lease, started_at=timezone.now())
            execution = session.open_execution(step, spec, purpose, session.workspace.head_commit)
        session.execute(execution, spec, close=lambda result: self._close(execution, spec, attempt, result))
        return True

    def _close(
        self, execution: StepExecution, spec: StepSpec, attempt: AutoFixRun | None, result: ExecutionResult
    ) -> None:
        """Close the execution, its step and the attempt that it was: together, so that no crash lies between them."""
        session, step = self.session, execution.step
        passed = result.end == ExecutionEnd.EXITED and result.exit_code == 0
        snapshot = session.workspace.snapshot(step.name) if passed and spec.effects is not Effects.NONE else None
        target = StepStatus.SUCCEEDED if passed else StepStatus.FAILED
        with transaction.atomic():
            code, now = exit_code_of(result), timezone.now()
            move_step(step, target, lease=session.lease, last_exit_code=code, finished_at=now)
            close_execution(execution, result, snapshot=snapshot or "")
            if attempt:
                outcome = AttemptOutcome.SUCCEEDED if passed else AttemptOutcome.FAILED
                budgets.finish_attempt(attempt, outcome, lease=session.lease)

    def _after_lost_effect(self, step: BuildStep, spec: StepSpec) -> Next | None:
        """A step with external effects whose last execution was lost is neither run again blind nor passed."""
        last = step.executions.filter(iteration=self.session.run.iteration).order_by("-number").first()
        if spec.effects is not Effects.EXTERNAL or last is None or last.end != ExecutionEnd.LOST:
            return None
        return self.healer.after_lost_effect(step, spec, last)

    def _finish(self) -> None:
        session, run = self.session, self.session.run
        healed = AutoFixRun.objects.filter(run=run, iteration=run.iteration, outcome=AttemptOutcome.SUCCEEDED)
        outcome = RunOutcome.HEALED if healed.exists() else RunOutcome.CLEAN
        where = deliver(session)
        with transaction.atomic():
            move_run(
                run,
                RunStatus.SUCCEEDED,
                lease=session.lease,
                outcome=outcome,
                head_commit=session.workspace.head_commit,
                delivered=where,
                result_note="",
                foreground=False,
            )
        if where:
            session.progress.tell("delivered", where=where)


def _purpose(step: BuildStep, attempt: AutoFixRun | None) -> Purpose:
    if attempt:
        return Purpose.FLAKE_CHECK if (attempt.decision or {}).get("flake_check") else Purpose.RETRY
    return Purpose.BUILD


class MetaBuilderOrchestratorV3:
    """The v3 guide's entry point: one step, healed where it breaks."""

    def __init__(self, retry_policy: RetryPolicy | None = None) -> None:
        """`retry_policy` replaces the one that the settings give; it is copied."""
        self.retry_policy = retry_policy.copy() if retry_policy else None

    async def execute_step_with_auto_fix(
        self, step: BuildStep, context: Mapping[str, Any] | None = None, *ignored: object
    ) -> dict[str, Any]:
        """Execute `step` of a run, healing it if it fails, and return what came of it.

        `context` may hold `actor`, `retry_policy` and `progress`. Takes the run's lease itself (LeaseBusy while
        another holds it), waits out backoffs, and returns at a gate. The result has `success`, `auto_fix_outcome`
        (clean, healed, escalated, rolled_back, gave_up), `signal`, `attempts` and `gate_id`.
        """
        if ignored:
            warnings.warn(
                "execute_step_with_auto_fix takes no database session any more; it is ignored",
                DeprecationWarning,
                stacklevel=2,
            )
        return await sync_to_async(self._execute)(step, dict(context or {}))

    def _execute(self, step: BuildStep, context: dict[str, Any]) -> dict[str, Any]:
        policy = context.get("retry_policy") or self.retry_policy
        lease = take_lease(step.run_id)
        with lease.heartbeat():
            _work(lease, progress=context.get("progress"), wait=True, policy=policy, only=step)
        step.refresh_from_db()
        return step_result(step)


def step_result(step: BuildStep) -> dict[str, Any]:
    """What came of a step. Without an outcome the run was cancelled, or failed by our own `error`. Raises RunHeld."""
    run = BuildRun.objects.get(pk=step.run_id)
    if run.hold and run.status == RunStatus.QUEUED:
        raise RunHeld(run.pk)
    attempts = AutoFixRun.objects.filter(step=step, iteration=run.iteration).order_by("created_at")
    gate = run.gates.filter(status=GateStatus.PENDING).first()
    success = step.status == StepStatus.SUCCEEDED
    healed = any(attempt.outcome == AttemptOutcome.SUCCEEDED for attempt in attempts)
    outcome = (RunOutcome.HEALED if healed else RunOutcome.CLEAN).value if success else run.outcome or None
    broken = run.status == RunStatus.FAILED and not run.outcome
    return {
        "success": success,
        "auto_fix_outcome": outcome,
        "signal": next((_signal(attempt) for attempt in attempts), None),
        "attempts": [attempt_record(attempt) for attempt in attempts],
        "gate_id": str(gate.pk) if gate else None,
        **({"error": {"code": "engine", "message": run.result_note}} if broken else {}),
    }


def _signal(attempt: AutoFixRun) -> dict[str, Any]:
    seen = (attempt.decision or {}).get("inputs", {}).get("signal", {})
    facts = {name: seen.get(name) for name in ("confidence", "message")}
    return {"type": attempt.signal_type, **facts}


__all__ = ["LeaseBusy", "MetaBuilderOrchestratorV3", "advance"]
