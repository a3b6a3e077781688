"""What happens to a failed step: classify, decide, carry the decision out. The shell around the pure core."""

from __future__ import annotations

import logging
import random
import time
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import Enum
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from approvals.models import ApprovalGate
from approvals.rules import GateStatus
from autofix import blame, budgets, ending, escalation, fixers
from autofix.decision import Candidate, Decision, Strategy, decide
from autofix.failures import FailureSignal, FailureType
from autofix.fixers.base import Failure
from autofix.models import AutoFixRun
from autofix.proofs import Proof
from autofix.proving import CandidateWork
from autofix.ranking import rank
from autofix.replans import adopt_plan
from autofix.session import RunSession
from autofix.signals_of import last_failure, signal_of, tenant_rules
from autofix.states import AttemptOutcome
from metabuilder.audit.services import record_event
from metabuilder.builds.models import BuildStep, StepExecution
from metabuilder.builds.plans import Effects, StepSpec
from metabuilder.builds.queue import enqueue_advance
from metabuilder.builds.states import Purpose, RunStatus, StepStatus
from metabuilder.builds.transitions import move_run, move_step

logger = logging.getLogger("autofix")

FIXER_LOG_BYTES = 1 << 20
UNKNOWN_EFFECT = "unknown_effect"


class Next(Enum):
    """What the caller does after a failure was handled."""

    GO_ON = "go on"  # look at the steps again
    PARKED = "parked"  # the run waits, for its time or for people
    ENDED = "ended"


@dataclass(kw_only=True)
class Healer:
    """Handles the failures of one session. `cleared` holds steps whose failure no provisional fix is to blame for."""

    session: RunSession
    cleared: set[UUID] = field(default_factory=set)

    def handle_failure(self, step: BuildStep) -> Next:
        session = self.session
        session.reload_settings()
        session.check_stop()
        failure = self.failure_of(step)
        signal, spec = failure.signal, failure.step
        self._note(step, signal)
        if self._fix_is_to_blame(step, spec, signal):
            return Next.PARKED
        with session.timed("propose"):
            candidates = self.candidates(failure)
        decision = self._decide(step, spec, signal, candidates)
        session.progress.tell("decided", step=step, signal=signal, decision=decision)
        match decision.strategy:
            case Strategy.RETRY:
                return self._retry(step, signal, decision)
            case Strategy.PATCH | Strategy.REPLAN:
                return self._change(step, failure, decision)
            case Strategy.ESCALATE:
                return self._escalate(step, failure, decision)
            case Strategy.ROLLBACK:
                ending.roll_back(session, decision.reason, step=step, signal=signal, decision=decision)
            case Strategy.GIVE_UP:
                ending.give_up(session, decision.reason, step=step, signal=signal, decision=decision)
        return Next.ENDED

    def _note(self, step: BuildStep, signal: FailureSignal) -> None:
        """Put the classification on record."""
        run = self.session.run
        facts = {"type": signal.type.value, "confidence": signal.confidence, "message": signal.message}
        with transaction.atomic():
            self.session.lease.hold()
            if run.first_signal is None:
                type(run).objects.filter(pk=run.pk).update(first_signal=facts)
            payload: dict[str, Any] = {"step": step.name, "fingerprint": signal.fingerprint, **facts}
            record_event("autofix.classified", tenant=run.tenant, subject=run, payload=payload)
        run.refresh_from_db()
        logger.info("failure classified", extra=budgets.log_fields(run, step, signal_type=signal.type.value))
        self.session.progress.tell("classified", step=step, signal=signal)

    def failure_of(self, step: BuildStep) -> Failure:
        """Read and classify what has to be healed now."""
        session, workspace = self.session, self.session.workspace
        spec = session.plan.step(step.name)
        result = last_failure(session, step)
        with session.timed("classify"):
            signal = signal_of(spec, result, rules=tenant_rules(session.run.tenant_id))
        return Failure(
            signal=signal,
            step=spec,
            plan=session.plan,
            root=workspace.root,
            log=result.log.text(max_bytes=FIXER_LOG_BYTES),
            committed_at=workspace.committed_at,
        )

    def candidates(self, failure: Failure) -> list[Candidate]:
        """Everything that could be done about it, best first."""
        found = fixers.candidates_for(failure)
        known = budgets.history(self.session.run, failure.signal.fingerprint)
        return [ranked.candidate for ranked in rank(found, known)]

    def _decide(self, step: BuildStep, spec: StepSpec, signal: FailureSignal, candidates: list[Candidate]) -> Decision:
        session = self.session
        state = budgets.retry_snapshot(
            step,
            spec,
            signal,
            remaining_seconds=session.remaining_seconds(),
            kill_switch=session.kill_switch(),
        )
        policy = session.policy.for_step(spec.retry)
        jitter = random.random()  # noqa: S311 - spreads retries, guards nothing
        return decide(signal, state, policy, session.settings, candidates, jitter=jitter, now=time.time())

    def _retry(self, step: BuildStep, signal: FailureSignal, decision: Decision) -> Next:
        session = self.session
        due = timezone.now() + timedelta(seconds=decision.delay_seconds)
        with transaction.atomic():
            budgets.charge_attempt(step, signal, decision, lease=session.lease)
            move_step(step, StepStatus.PENDING, lease=session.lease)
            if not decision.delay_seconds:
                return Next.GO_ON
            move_run(session.run, RunStatus.WAITING_RETRY, lease=session.lease, wake_at=due)
            if not session.wait:
                enqueue_advance(session.run.pk, due)
        session.progress.tell("waiting", seconds=decision.delay_seconds, reason=decision.reason)
        return Next.PARKED

    def _change(self, step: BuildStep, failure: Failure, decision: Decision) -> Next:
        assert decision.candidate
        attempt = budgets.charge_attempt(step, failure.signal, decision, lease=self.session.lease)
        work, proof = self.work_off(step, failure, decision.candidate, attempt)
        if proof is None:
            self.fail(attempt, work.last_reason)
            return Next.GO_ON
        if not proof.verdict.allowed:
            escalation.propose(self.session, step, failure.signal, decision, attempt, proof)
            return Next.PARKED
        self.accept(step, attempt, decision.candidate, proof)
        return Next.GO_ON

    def work_off(
        self,
        step: BuildStep,
        failure: Failure,
        candidate: Candidate,
        attempt: AutoFixRun,
        *,
        approved: bool = False,
        propose: bool = False,
    ) -> tuple[CandidateWork, Proof | None]:
        work = CandidateWork(
            session=self.session,
            step=step,
            failure=failure,
            candidate=candidate,
            attempt=attempt,
            approved=approved,
            propose=propose,
        )
        return work, work.work_off(fixers.fixer_named(candidate.fixer))

    def fail(self, attempt: AutoFixRun, reason: str) -> None:
        budgets.finish_attempt(
            attempt,
            AttemptOutcome.FAILED,
            lease=self.session.lease,
            decision={**(attempt.decision or {}), "result": reason},
        )

    def accept(self, step: BuildStep, attempt: AutoFixRun, candidate: Candidate, proof: Proof) -> None:
        """Commit what was proven: the fix commit first, then everything that says so in one transaction."""
        session = self.session
        run, lease, workspace = session.run, session.lease, session.workspace
        commit = ""
        if proof.frozen and proof.frozen.paths:
            commit = workspace.commit_fix(proof.frozen, commit_message(attempt, candidate, proof))
        workspace.snapshot(f"fix of {step.name}")
        workspace.keep_trial()
        delta = None
        with transaction.atomic():
            lease.hold()
            type(run).objects.filter(pk=run.pk).update(head_commit=workspace.head_commit, branch=workspace.branch)
            StepExecution.objects.filter(pk__in=proof.executions).update(commit=workspace.head_commit)
            record = {"result": proof.reason, "rebuild": proof.proposal.rebuild, "level": proof.level}
            changes = {"fix_commit": commit, "decision": {**(attempt.decision or {}), **record}}
            if attempt.outcome == AttemptOutcome.PENDING:
                budgets.finish_attempt(attempt, AttemptOutcome.SUCCEEDED, lease=lease, **changes)
            else:  # it was counted when it was escalated
                changes["outcome"] = AttemptOutcome.SUCCEEDED
                AutoFixRun.objects.filter(pk=attempt.pk).update(updated_at=timezone.now(), **changes)
            if proof.proposal.plan:
                delta = adopt_plan(session, proof.proposal.plan, ran=proof.prepared, triggered_by=candidate.fixer)
            step.refresh_from_db()
            if proof.passed:
                if step.status == StepStatus.FAILED:  # else its workspace had to be made anew
                    move_step(step, StepStatus.PENDING, lease=lease)
                move_step(step, StepStatus.RUNNING, lease=lease)
                move_step(step, StepStatus.SUCCEEDED, lease=lease, last_exit_code=0, finished_at=timezone.now())
            if commit:
                payload: dict[str, Any] = {"step": step.name, "commit": commit, "fixer": candidate.fixer}
                payload |= {"diff": proof.diff.digest, "proof": proof.reason, "attempt": attempt.attempt}
                record_event("autofix.patch_applied", tenant=run.tenant, subject=run, payload=payload)
        run.refresh_from_db()
        session.progress.tell(
            "fixed",
            step=step,
            candidate=candidate,
            diff=proof.diff.text,
            proven_by=proof.reason,
            plan_delta=delta,
        )

    def _escalate(self, step: BuildStep, failure: Failure, decision: Decision) -> Next:
        """Ask people. What may be tried unasked is proven first, so that they decide about something that works."""
        attempt = budgets.charge_attempt(step, failure.signal, decision, lease=self.session.lease, free=True)
        proposal, proof = decision.proposal, None
        external = failure.step.effects is Effects.EXTERNAL
        if proposal and proposal.gate_reason is None and not external and not self._spent(failure.signal, step):
            _, proof = self.work_off(step, failure, proposal, attempt, propose=True)
            if proof is None:
                proposal = None
        escalation.ask(self.session, step, failure.signal, decision, attempt, proposal=proposal, proof=proof)
        return Next.PARKED

    def _spent(self, signal: FailureSignal, step: BuildStep) -> bool:
        state = self.session.run.retry_state
        state.refresh_from_db()
        used = state.per_step_attempts.get(step.name, 0)
        return used >= state.max_per_step_attempts or state.total_attempts >= state.max_total_attempts

    def _fix_is_to_blame(self, step: BuildStep, spec: StepSpec, signal: FailureSignal) -> bool:
        comes_and_goes = signal.can_retry and signal.type is not FailureType.UNKNOWN
        if step.pk in self.cleared or comes_and_goes or spec.effects is Effects.EXTERNAL:
            return False
        self.cleared.add(step.pk)
        return blame.convict(self.session, step, spec, signal)

    def after_lost_effect(self, step: BuildStep, spec: StepSpec, lost: StepExecution) -> Next | None:
        """Decide about a step with external effects whose execution was lost. None: it may run again.

        Its probe says whether the effect has happened; without one, people do.
        """
        session = self.session
        asked = ApprovalGate.objects.filter(run=session.run, step=step, created_at__gte=lost.started_at)
        if asked.filter(kind=UNKNOWN_EFFECT, status=GateStatus.APPROVED).exists():
            return None
        if spec.probe:
            if not session.run_again(step, replace(spec, run=spec.probe), Purpose.PROOF).passed:
                return None
            with transaction.atomic():
                for target in (StepStatus.RUNNING, StepStatus.SUCCEEDED):
                    move_step(step, target, lease=session.lease, last_exit_code=0)
            return Next.GO_ON
        message = f"{step.name} has effects outside the workspace, and how its last execution ended is not known"
        signal = FailureSignal(type=FailureType.UNKNOWN, confidence=0.0, message=message)
        decision = Decision(strategy=Strategy.ESCALATE, reason=message)
        attempt = budgets.charge_attempt(step, signal, decision, lease=session.lease, free=True)
        escalation.ask(session, step, signal, decision, attempt, kind=UNKNOWN_EFFECT)
        return Next.PARKED


def commit_message(attempt: AutoFixRun, candidate: Candidate, proof: Proof) -> str:
    facts: dict[str, Any] = {
        "Fixer": candidate.fixer,
        "Step": attempt.step.name,
        "Failure": f"{attempt.signal_type} {attempt.fingerprint[:12]}",
        "Attempt": attempt.attempt,
        "Proof": proof.reason,
        "Run": attempt.run_id,
    }
    trailer = "\n".join(f"{name}: {value}" for name, value in facts.items())
    return f"{proof.proposal.summary}\n\n{trailer}\n"
