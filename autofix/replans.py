"""Adopting a new version of a run's plan."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from django.utils import timezone

from autofix import metrics
from autofix.models import PlanDelta
from metabuilder.audit.services import record_event
from metabuilder.builds.masking import masked_delta
from metabuilder.builds.models import BuildRun
from metabuilder.builds.plan_diff import diff
from metabuilder.builds.runs import store_plan, sync_steps
from metabuilder.builds.states import StepStatus
from metabuilder.builds.transitions import move_step

if TYPE_CHECKING:
    from autofix.session import RunSession
    from metabuilder.builds.plans import Plan


def adopt_plan(session: RunSession, plan: Plan, *, ran: Collection[str], triggered_by: str) -> PlanDelta:
    """Make `plan` the run's plan. In the caller's transaction, leased.

    Steps already green and unchanged stay green; of the new ones those are that `ran` in the proof.
    """
    run, original = session.run, session.run.plan
    old = {spec.name for spec in original.plan().steps}
    new = store_plan(plan, tenant=run.tenant, parent=original)
    BuildRun.objects.filter(pk=run.pk).update(plan=new)
    run.refresh_from_db()
    sync_steps(run, plan)
    for step in run.steps.filter(name__in=[name for name in ran if name not in old]):
        now = timezone.now()
        move_step(step, StepStatus.RUNNING, lease=session.lease, started_at=now)
        move_step(step, StepStatus.SUCCEEDED, lease=session.lease, last_exit_code=0, finished_at=now)
    delta = PlanDelta.objects.create(
        original_plan=original,
        new_plan=new,
        run=run,
        # The plans keep what their steps need; the delta is for people, audited and shown.
        delta_data=masked_delta(diff(original.plan(), plan)),
        triggered_by=triggered_by,
    )
    payload = {"delta": delta.delta_data, "triggered_by": triggered_by, "plan": plan.digest}
    record_event("autofix.replanned", tenant=run.tenant, subject=run, payload=payload)
    metrics.replans_total.inc()
    return delta
