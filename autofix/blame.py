"""Fixes are provisional until the whole plan is green: whether one is to blame for what fails later."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from django.db import transaction
from django.utils import timezone

from autofix import budgets, escalation
from autofix.decision import Decision, Strategy
from autofix.failures import FailureSignal
from autofix.models import AutoFixRun
from autofix.proofs import before, is_set_up
from autofix.session import RunSession
from autofix.states import AttemptOutcome
from metabuilder.builds.environments import Environments
from metabuilder.builds.models import BuildStep
from metabuilder.builds.plans import StepSpec
from metabuilder.builds.states import Purpose
from metabuilder.builds.workspace_errors import CandidateDoesNotApply

if TYPE_CHECKING:
    from metabuilder.builds.environments import Aside

logger = logging.getLogger("autofix")


def provisional_fixes(session: RunSession, step: BuildStep) -> list[AutoFixRun]:
    """The fixes on the branch that were made for other steps, oldest first."""
    on_branch = set(session.workspace.fixes())
    rows = AutoFixRun.objects.filter(
        run=session.run, iteration=session.run.iteration, outcome=AttemptOutcome.SUCCEEDED
    ).exclude(fix_commit="")
    return [row for row in rows.exclude(step=step).order_by("created_at") if row.fix_commit in on_branch]


def convict(session: RunSession, step: BuildStep, spec: StepSpec, signal: FailureSignal) -> bool:
    """Whether fixes are to blame for a step's failure: they are then reverted and people are asked.

    Convicted is what fails with them, passes without them, and fails with them once more.
    """
    fixes = provisional_fixes(session, step)
    if not fixes:
        return False
    session.progress.tell("blaming", step=step)
    if not passes_without_fixes(session, step, spec):
        return False
    if session.run_again(step, spec, Purpose.PROOF).passed:
        return False  # it comes and goes: not the fixes
    reverted, culprits = _revert_until_it_passes(session, step, spec, fixes)
    names = ", ".join(fix.candidate_key for fix in culprits)
    reason = f"{step.name} passes without the fix {names} and fails with it; the fix was reverted"
    decision = Decision(strategy=Strategy.ESCALATE, reason=reason)
    with transaction.atomic():
        session.lease.hold()
        rows = AutoFixRun.objects.filter(pk__in=[fix.pk for fix in reverted])
        rows.update(outcome=AttemptOutcome.ROLLED_BACK, updated_at=timezone.now())
        rows.filter(pk__in=[fix.pk for fix in culprits]).update(harmful=True)
        type(session.run).objects.filter(pk=session.run.pk).update(head_commit=session.workspace.head_commit)
        attempt = budgets.charge_attempt(step, signal, decision, lease=session.lease, free=True)
    session.run.refresh_from_db()
    escalation.ask(session, step, signal, decision, attempt, kind="harmful_fix")
    return True


def passes_without_fixes(session: RunSession, step: BuildStep, spec: StepSpec) -> bool:
    """Whether the step passes on the files without any fix, in an environment that was built without them."""
    rebuild = _rebuilt(provisional_fixes(session, step))
    try:
        with session.workspace.without_fixes(), _environment_without(session, step, spec, rebuild) as ready:
            return ready and session.run_again(step, spec, Purpose.PROOF).passed
    except CandidateDoesNotApply:
        return False  # steps changed the same lines since: nobody can tell


def _rebuilt(fixes: list[AutoFixRun]) -> bool:
    return any((fix.decision or {}).get("rebuild") for fix in fixes)


@contextmanager
def _environment_without(session: RunSession, step: BuildStep, spec: StepSpec, rebuild: bool) -> Iterator[bool]:
    """Build the environments anew for the block, and put the old ones back. False where that fails."""
    aside: Aside | None = Environments(session.workspace).set_aside() if rebuild else None
    try:
        yield not rebuild or _set_up(session, step, spec)
    finally:
        if aside and session.lease.renew():  # else the files are another holder's now
            Environments(session.workspace).restore(aside)


def _set_up(session: RunSession, step: BuildStep, spec: StepSpec) -> bool:
    steps = [other for other in before(session.plan, spec.name) if is_set_up(other)]
    return all(session.run_again(step, other, Purpose.REPLAY).passed for other in steps)


def _revert_until_it_passes(
    session: RunSession, step: BuildStep, spec: StepSpec, fixes: list[AutoFixRun]
) -> tuple[list[AutoFixRun], list[AutoFixRun]]:
    """Revert the newest fix, and the next, until the step passes; return those reverted, and those to blame.

    Where a fix cannot be reverted alone, because a later one builds on it, all go and all are to blame.
    """
    reverted: list[AutoFixRun] = []
    for fix in reversed(fixes):
        try:
            session.workspace.revert_fix(fix.fix_commit)
        except CandidateDoesNotApply as error:
            logger.warning("a fix cannot be reverted alone: %s", error, extra=budgets.log_fields(session.run, step))
            session.workspace.return_to(session.workspace.base_commit)
            return fixes, fixes
        session.progress.tell("reverted", commit=fix.fix_commit)
        reverted.append(fix)
        with _environment_without(session, step, spec, _rebuilt(reverted)) as ready:
            if ready and session.run_again(step, spec, Purpose.PROOF).passed:
                return reverted, [fix]
    return reverted, reverted
