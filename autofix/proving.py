"""Trying a candidate: its trials, the guard, the ladder that proves one, and putting everything back.

Ladder: L0 the change applies and the guard allows it, L1 the failed step passes, L2 it passes again (flaky
history), L3 every earlier check still passes, L4 no new findings.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from django.db import Error as DatabaseTrouble
from django.db import transaction
from django.db.models import Max

from autofix import guard
from autofix.bench import SessionBench
from autofix.decision import Candidate
from autofix.failures import FailureType
from autofix.fixers.base import CannotFix, Failure, Fixer, Proposal, TrialResult, Trials
from autofix.models import AutoFixRun, FixTrial
from autofix.proofs import (
    SHOWN_DIFF_BYTES,
    Proof,
    before,
    findings_text,
    further_on,
    is_check,
    is_set_up,
    verdict_record,
)
from autofix.session import RunSession, StepResult, Stopped
from autofix.signals_of import signal_of
from metabuilder.audit.chain import storable
from metabuilder.audit.redaction import redact
from metabuilder.builds.changes import FileChange
from metabuilder.builds.environments import Aside, Environments
from metabuilder.builds.errors import LeaseLost, MetabuilderError
from metabuilder.builds.models import BuildStep
from metabuilder.builds.plans import Effects, Plan, StepSpec
from metabuilder.builds.states import Purpose, StepStatus
from metabuilder.builds.workspace_errors import CandidateDoesNotApply

if TYPE_CHECKING:
    from metabuilder.builds.candidates import FrozenCandidate, TrialMark

logger = logging.getLogger("autofix")

# A type whose failures come and go is only healed by a fix that passes twice.
PROVEN_TWICE = frozenset({FailureType.TEST_ASSERT, FailureType.UNKNOWN, FailureType.TRANSIENT})
# Guard rules that a proof itself would break: installing a package runs its code.
RUNS_STRANGERS = frozenset({"unvouched-package", "foreign-source"})
FORMATTING_LIMITS = guard.GuardLimits(max_files=500, max_changed_lines=50_000)


def _next(trials: Trials, result: TrialResult | None = None) -> Proposal:
    """Ask a fixer for its next proposal. What it raises of its own is its failure, not the run's."""
    try:
        return next(trials) if result is None else trials.send(result)
    except (CannotFix, StopIteration, MetabuilderError, DatabaseTrouble):
        raise
    except Exception as error:  # the boundary: fixers are other people's code, found through entry points
        logger.exception("a fixer failed")
        raise CannotFix(f"the fixer failed: {type(error).__name__}: {error}") from error


@dataclass(kw_only=True)
class CandidateWork:
    """One attempt's work on one candidate. `result` is the proof that was accepted or is worth proposing."""

    session: RunSession
    step: BuildStep
    failure: Failure
    candidate: Candidate
    attempt: AutoFixRun
    last_reason: str = "the fixer made no proposal"
    used: int = 0  # trials of this work; an attempt that people approved later, or a crash cut, has earlier ones
    propose: bool = False  # people decide about what passes, so everything is put back in any case
    started_at: float = field(default_factory=time.monotonic)
    approved: bool = False  # a person allowed the candidate, so what it names is vouched for
    _aside: Aside | None = None  # the environments of before, while a trial builds its own

    def work_off(self, fixer: Fixer) -> Proof | None:
        """Try the candidate's trials until one passes or the budget is used. The tree then holds what passed.

        Where nothing passed the tree is as before; `last_reason` says why. A proof whose guard verdict is not
        `allow` is returned for people to decide, with the tree put back.
        """
        session, workspace = self.session, self.session.workspace
        bench = SessionBench(session=session, spec=self.failure.step, step=self.step)
        best: Proof | None = None
        if self.failure.step.effects is Effects.NONE or self.failure.signal.type is FailureType.LINT:
            workspace.undo_edits()  # a check that mends while it looks: its edits are no part of the project yet
        mark = self._begin_trial()
        trials = fixer.trials(self.candidate, self.failure, bench)
        try:
            trial = self._charge_trial()
            proposal = _next(trials)
            while True:
                proof = self._try(proposal, mark)
                self._record(trial, proof)
                self.last_reason = proof.reason
                if proof.passed and not proposal.keep_looking and proof.verdict.allowed:
                    return self._accept(proof, mark)
                self._put_back(mark)
                if (proof.progressed or proof.unproven) and proof.verdict.action == "gate":
                    return proof
                # What only moves the failure on is kept for the end: another trial may get all the way.
                if proof.passed or (proof.moved_on and not (best and best.passed)):
                    best = proof
                if not self._may_try_again():
                    break
                mark = self._begin_trial()
                trial = self._charge_trial()
                proposal = _next(trials, proof.told())
        except StopIteration:
            self._drop(trial)
        except CannotFix as error:
            self.last_reason = str(error)
            FixTrial.objects.filter(pk=trial.pk).update(reason=storable(str(error)))
        except LeaseLost:
            raise  # the files are another holder's now
        except BaseException:
            if session.lease.renew():
                self._put_back(mark)
            raise
        finally:
            trials.close()
            session.resume_background()
        self._put_back(mark)
        return self._apply_best(best) if best else None

    def apply_approved(self, proposal: Proposal, frozen: FrozenCandidate | None) -> Proof | None:
        """Apply exactly what a person approved, and prove it. None, and the tree as before, where it fails."""
        trial = self._charge_trial()
        mark = self._begin_trial()
        try:
            if frozen:
                self.session.workspace.apply_frozen(frozen)
            proof = self._try(proposal, mark, approved=True)
        except CandidateDoesNotApply as error:
            self.last_reason = str(error)
            FixTrial.objects.filter(pk=trial.pk).update(reason=storable(str(error)))
            self._put_back(mark)
            return None
        except Stopped:
            self._put_back(mark)
            raise
        finally:
            self.session.resume_background()
        return self._keep_or_drop(trial, proof, mark)

    def _apply_best(self, best: Proof) -> Proof | None:
        trial = self._charge_trial()
        mark = self._begin_trial()
        try:
            if best.frozen:
                self.session.workspace.apply_frozen(best.frozen)
            proof = self._try(best.proposal, mark)
        except Stopped:
            self._put_back(mark)
            raise
        finally:
            self.session.resume_background()
        return self._keep_or_drop(trial, proof, mark)

    def _keep_or_drop(self, trial: FixTrial, proof: Proof, mark: TrialMark) -> Proof | None:
        self._record(trial, proof)
        self.last_reason = proof.reason
        if proof.progressed:
            return self._accept(proof, mark)
        self._put_back(mark)
        return None

    def _accept(self, proof: Proof, mark: TrialMark) -> Proof:
        if self.propose:
            self._put_back(mark)
        elif self._aside:
            Environments(self.session.workspace).discard(self._aside)
            self._aside = None
        return proof

    def _begin_trial(self) -> TrialMark:
        """From here until `_try` has frozen the candidate, nothing but the fixer changes files."""
        self.session.pause_background()
        return self.session.workspace.begin_trial()

    def _may_try_again(self) -> bool:
        settings = self.session.settings
        if self.used >= settings.max_trials_per_attempt:
            self.last_reason += f"; all {self.used} trials of this attempt are used"
            return False
        if time.monotonic() - self.started_at >= settings.max_fix_seconds:
            self.last_reason += f"; the {settings.max_fix_seconds:g} s of this attempt are used"
            return False
        return True

    def _charge_trial(self) -> FixTrial:
        """Every trial is on record before it starts, so that a crash cannot give it back."""
        self.session.check_kill_switch()
        self.used += 1
        self.session.progress.tell("trial_started", candidate=self.candidate, number=self.used)
        with transaction.atomic():
            self.session.lease.hold()
            last = self.attempt.trials.aggregate(last=Max("number"))["last"] or 0
            return FixTrial.objects.create(
                attempt=self.attempt,
                number=last + 1,
                candidate=self.candidate.key,
                summary=self.candidate.title,
            )

    def _drop(self, trial: FixTrial) -> None:
        """The fixer had nothing more to try: what was charged for it was not used."""
        trial.delete()
        self.used -= 1

    def _record(self, trial: FixTrial, proof: Proof) -> None:
        text = storable(redact(proof.diff.text)[:SHOWN_DIFF_BYTES])
        with transaction.atomic():
            self.session.lease.hold()
            FixTrial.objects.filter(pk=trial.pk).update(
                summary=proof.proposal.summary,
                diff_digest=proof.diff.digest,
                diff=text,
                guard_verdict=verdict_record(proof.verdict),
                ladder_level=proof.level,
                passed=proof.progressed,
                reason=storable(proof.reason),
                seconds=time.monotonic() - self.started_at,
            )
        self.session.progress.tell(
            "trial_ended", candidate=self.candidate, passed=proof.progressed, reason=proof.reason
        )

    def _put_back(self, mark: TrialMark) -> None:
        self.session.workspace.reset_trial(mark)
        if self._aside:
            Environments(self.session.workspace).restore(self._aside)
            self._aside = None

    def _try(self, proposal: Proposal, mark: TrialMark, *, approved: bool = False) -> Proof:
        workspace = self.session.workspace
        diff = workspace.candidate_diff(mark)
        frozen = workspace.freeze_candidate(mark) if diff.files else None
        self.session.resume_background()
        verdict = self._guard(proposal, diff.files)
        if approved and verdict.action == "gate":
            verdict = guard.Verdict()  # a person has seen this diff and these findings
        self.session.progress.tell("guarded", verdict=verdict, diff=diff.text)
        proof = Proof(proposal=proposal, diff=diff, frozen=frozen, verdict=verdict)
        if verdict.action == "refuse":
            return replace(proof, reason="the guard refuses it: " + findings_text(verdict))
        if not diff.files and proposal.plan is None:
            return replace(proof, reason="it changes nothing")
        if frozen and not workspace.changes_project(frozen):
            return replace(proof, reason="it changes only what earlier steps made")
        if any(finding.rule in RUNS_STRANGERS for finding in verdict.findings):
            reason = "not proven: that would run what nobody vouches for; " + findings_text(verdict)
            return replace(proof, unproven=True, reason=reason)
        with self.session.timed("prove"):
            return self._climb(proof, mark)

    def _guard(self, proposal: Proposal, files: tuple[FileChange, ...]) -> guard.Verdict:
        settings = self.session.settings
        vouched = (*proposal.vouched, *self._vouched_by_a_person())
        limits = FORMATTING_LIMITS if proposal.formatting else guard.GuardLimits()
        findings = guard.check_changes(
            files, limits=limits, protected=settings.protected_paths, vouched=vouched
        ).findings
        if proposal.plan is not None:
            findings += guard.check_plan(self.failure.plan, proposal.plan, vouched=vouched).findings
        if settings.guard_action == "refuse":  # this tenant wants no such patch even proposed
            findings = tuple(replace(finding, action=guard.Action.REFUSE) for finding in findings)
        return guard.Verdict(findings)

    def _vouched_by_a_person(self) -> tuple[str, ...]:
        named = self.candidate.details.get("packages") if self.approved else None
        return tuple(map(str, named)) if isinstance(named, list | tuple) else ()

    def _climb(self, proof: Proof, mark: TrialMark) -> Proof:
        plan = proof.proposal.plan or self.failure.plan
        name = self.failure.step.name
        done: list[Any] = []
        if proof.proposal.rebuild:
            self._aside = Environments(self.session.workspace).set_aside()
        preparation = self._preparation(plan, rebuild=proof.proposal.rebuild)
        if outside := next((spec.name for spec in preparation if spec.effects is Effects.EXTERNAL), None):
            reason = f"{outside} has effects outside the workspace and is not run again to prove it"
            return replace(proof, reason=reason)
        for spec in preparation:
            result = self._run(spec, Purpose.REPLAY, done)
            if proof.proposal.rebuild:
                self.session.workspace.note_made(mark)
            if not result.passed:
                return self._failed(proof, spec, result, f"preparing it, {spec.name} failed")
        spec = plan.step(name)
        times = 2 if self.failure.signal.type in PROVEN_TWICE else 1
        for _ in range(times):
            result = self._run(spec, Purpose.PROOF, done)
            if not result.passed:
                failed = self._failed(proof, spec, result, f"{name} still fails", executions=tuple(done))
                if not failed.moved_on or not (broken := self._broken_check(plan, done)):
                    return failed
                return self._failed(proof, *broken, f"it moves the failure on, but breaks {broken[0].name}")
        if broken := self._broken_check(plan, done):
            return self._failed(proof, broken[0], broken[1], f"{broken[0].name} was green and fails now", level=2)
        proven_by = f"{name} passes" + (" twice" if times == 2 else "")
        prepared = tuple(spec.name for spec in preparation)
        return replace(proof, level=3, reason=proven_by, executions=tuple(done), prepared=prepared)

    def _preparation(self, plan: Plan, *, rebuild: bool) -> list[StepSpec]:
        """What has to run before the failed step does: new and changed steps, and set-up for a new environment."""
        old = {spec.name: spec for spec in self.failure.plan.steps}
        earlier = before(plan, self.failure.step.name)
        return [
            spec
            for spec in earlier
            if (rebuild and is_set_up(spec)) or (old.get(spec.name) != spec and not is_check(spec))
        ]

    def _broken_check(self, plan: Plan, done: list[Any]) -> tuple[StepSpec, StepResult] | None:
        """Run the earlier checks that were green; return the first that fails now."""
        green = set(self.session.run.steps.filter(status=StepStatus.SUCCEEDED).values_list("name", flat=True))
        for spec in before(plan, self.failure.step.name):
            if is_check(spec) and spec.name in green:
                result = self._run(spec, Purpose.PROOF, done)
                if not result.passed:
                    return spec, result
        return None

    def _run(self, spec: StepSpec, purpose: Purpose, done: list[Any]) -> StepResult:
        # A step that the plan edit adds has no row yet; its proof is on record under the failed step.
        row = self.session.run.steps.filter(name=spec.name).first() or self.step
        result = self.session.run_again(row, spec, purpose)
        done.append(result.execution.pk)
        return result

    def _failed(
        self,
        proof: Proof,
        spec: StepSpec,
        result: StepResult,
        reason: str,
        *,
        level: int = 0,
        executions: tuple[Any, ...] = (),
    ) -> Proof:
        signal = signal_of(spec, result)
        same_step = spec.name == self.failure.step.name
        moved = signal if same_step and further_on(self.failure.signal, signal) else None
        if moved:
            reason = f"it fails further on: {signal.message}"
        elif same_step and signal.fingerprint != self.failure.signal.fingerprint:
            reason += f", differently: {signal.message}"
        return replace(
            proof,
            level=level,
            reason=reason,
            moved_on=moved,
            signal=signal,
            failed_step=spec.name,
            log=result.log.text(max_bytes=1 << 20),
            executions=executions,
        )
