from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from metabuilder.builds.errors import LeaseLost, TransitionRefused
from metabuilder.builds.leases import take_lease
from metabuilder.builds.models import BuildRun, BuildStep
from metabuilder.builds.states import ENDED_RUNS, RUN_MOVES, STEP_MOVES, RunStatus, StepStatus
from metabuilder.builds.transitions import move_run, move_step, reopen_steps
from tests.factories import BuildRunFactory, BuildStepFactory

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("seen", RunStatus)
@pytest.mark.parametrize("target", RunStatus)
def test_move_run__every_pair__only_what_the_table_allows(seen, target):
    run = BuildRunFactory(status=seen)
    lease = take_lease(run.pk)
    if target in RUN_MOVES[seen]:
        move_run(run, target, lease=lease, result_note="so")
        stored = BuildRun.objects.get(pk=run.pk)
        assert (stored.status, stored.result_note) == (target, "so")
        assert (stored.finished_at is not None) == (target in ENDED_RUNS)
    else:
        with pytest.raises(ValueError, match="no transition"):
            move_run(run, target, lease=lease)
        assert BuildRun.objects.get(pk=run.pk).status == seen


@pytest.mark.parametrize("seen", StepStatus)
@pytest.mark.parametrize("target", StepStatus)
def test_move_step__every_pair__only_what_the_table_allows(seen, target):
    step = BuildStepFactory(status=seen)
    lease = take_lease(step.run_id)
    if target in STEP_MOVES[seen]:
        move_step(step, target, lease=lease, last_exit_code=3)
        assert BuildStep.objects.values_list("status", "last_exit_code").get() == (target, 3)
    else:
        with pytest.raises(ValueError, match="no transition"):
            move_step(step, target, lease=lease)
        assert BuildStep.objects.get().status == seen


def test_move_run__moved_meanwhile__is_refused_and_nothing_changes():
    run = BuildRunFactory()
    lease = take_lease(run.pk)
    BuildRun.objects.update(status=RunStatus.CANCELLED)
    with pytest.raises(TransitionRefused, match="no longer queued"), transaction.atomic():
        move_run(run, RunStatus.RUNNING, lease=lease, result_note="lost")
    assert BuildRun.objects.values_list("status", "result_note").get() == ("cancelled", "")


def test_move_step__lease_taken_over__writes_nothing():
    step = BuildStepFactory()
    old = take_lease(step.run_id)
    BuildRun.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    take_lease(step.run_id)
    with pytest.raises(LeaseLost), transaction.atomic():
        move_step(step, StepStatus.RUNNING, lease=old)
    assert BuildStep.objects.get().status == "pending"


def test_move_run__without_a_lease__raises_the_fence():
    run = BuildRunFactory()
    lease = take_lease(run.pk)
    move_run(run, RunStatus.CANCELLED, lease=None)
    assert run.fence == lease.fence + 1
    with pytest.raises(LeaseLost), transaction.atomic():
        lease.hold()


def test_reopen_steps__of_any_status__are_pending_and_blank():
    run = BuildRunFactory()
    for number, status in enumerate(StepStatus):
        BuildStepFactory(run=run, name=f"s{number}", position=number, status=status, last_exit_code=1)
    reopen_steps(run)
    kept = BuildStep.objects.exclude(name="s0")  # the one that was pending is left as it is
    assert set(BuildStep.objects.values_list("status", flat=True)) == {"pending"}
    assert set(kept.values_list("last_exit_code", flat=True)) == {None}
