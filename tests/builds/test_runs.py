from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from django.utils import timezone
from django_q.models import OrmQ

from metabuilder.audit.models import AuditEvent
from metabuilder.builds.errors import (
    LeaseBusy,
    NotAllowed,
    RunAmbiguous,
    RunNotCancellable,
    RunNotFound,
    RunNotRetryable,
)
from metabuilder.builds.models import BuildRun, ScaffoldPlan
from metabuilder.builds.plans import parse_plan
from metabuilder.builds.runs import (
    create_run,
    find_run,
    leave_foreground,
    request_cancel,
    retry_run,
    store_plan,
    sync_steps,
    take_to_foreground,
)
from metabuilder.builds.states import ENDED_RUNS, RETRYABLE_RUNS, Role, RunStatus, StepStatus
from metabuilder.builds.workspace_errors import SourceRefused
from tests.factories import (
    ApprovalGateFactory,
    BuildRunFactory,
    BuildStepFactory,
    MembershipFactory,
    StepExecutionFactory,
    TenantFactory,
    UserFactory,
)

pytestmark = pytest.mark.django_db


def plan_of(*names, **changes):
    steps = [{"name": name, "run": f"echo {name}", **changes.get(name, {})} for name in names]
    return parse_plan({"name": "p", "steps": steps})


@pytest.fixture
def member():
    return MembershipFactory()


def make(member, **options):
    facts = {"source": "/src", "plan": plan_of("a", "b"), **options}
    return create_run(tenant=member.tenant, actor=member.user, **facts)


def rows(run):
    return list(run.steps.values_list("name", "position", "command", "status"))


def test_create_run__makes_steps_an_audit_event_and_a_wake_up(member):
    run = make(member)
    assert rows(run) == [("a", 0, "echo a", "pending"), ("b", 1, "echo b", "pending")]
    event = AuditEvent.objects.get()
    assert (event.event_type, event.subject_id, event.actor_name) == ("run.created", str(run.pk), member.user.username)
    run.refresh_from_db()
    assert run.wake_message == OrmQ.objects.get().pk


@pytest.mark.parametrize("option", ["hold", "foreground"])
def test_create_run__held_or_foreground__wakes_nobody(member, option):
    assert getattr(make(member, **{option: True}), option) is True
    assert not OrmQ.objects.exists()


@pytest.mark.parametrize("user", ["ann:hunter2@", "hunter2@"])
def test_create_run__source_with_a_secret__is_refused_and_stored_nowhere(member, user):
    with pytest.raises(SourceRefused, match="ssh://") as refused:
        make(member, source=f"https://{user}example.org/x.git")
    assert "hunter2" not in str(refused.value)
    assert not BuildRun.objects.exists()
    assert not AuditEvent.objects.exists()


@pytest.mark.parametrize("source", ["git@example.org:x.git", "ssh://git@example.org/x.git", "https://example.org/x"])
def test_create_run__source_with_a_mere_user_name__is_taken(member, source):
    assert make(member, source=source).source == source


def test_create_run__typed_by_somebody_else__the_audit_event_names_both(member):
    make(member, os_user="root")
    event = AuditEvent.objects.get()
    assert (event.actor_name, event.payload["os_user"]) == (member.user.username, "root")


@pytest.mark.parametrize("role", [Role.VIEWER, None])
def test_runs__actor_without_the_role__are_neither_started_retried_nor_cancelled(member, role):
    actor = MembershipFactory(tenant=member.tenant, role=role).user if role else UserFactory()
    with pytest.raises(NotAllowed):
        create_run(tenant=member.tenant, actor=actor, source="/src", plan=plan_of("a"))
    assert not BuildRun.objects.exists()
    run = make(member)
    with pytest.raises(NotAllowed):
        request_cancel(run, actor=actor)
    BuildRun.objects.update(status=RunStatus.FAILED)
    with pytest.raises(NotAllowed):
        retry_run(run, actor=actor)
    assert BuildRun.objects.values_list("status", "iteration").get() == ("failed", 1)


def test_store_plan__same_content_twice__is_one_version(member):
    first = store_plan(plan_of("a"), tenant=member.tenant)
    assert store_plan(plan_of("a"), tenant=member.tenant) == first
    assert store_plan(plan_of("a"), tenant=TenantFactory()) != first
    assert store_plan(plan_of("a"), tenant=member.tenant, parent=first) != first
    assert ScaffoldPlan.objects.count() == 3


def test_sync_steps__inserted_changed_and_dropped__green_ones_stay_green(member):
    run = make(member)
    run.steps.update(status=StepStatus.SUCCEEDED)
    sync_steps(run, plan_of("new", "b", b={"run": "echo B"}))
    assert sorted(rows(run)) == [
        ("a", 2, "echo a", "skipped"),
        ("b", 1, "echo B", "succeeded"),
        ("new", 0, "echo new", "pending"),
    ]


def test_find_run__beginning_of_its_id__with_or_without_dashes(member):
    run = make(member)
    for prefix in (str(run.pk), run.pk.hex[:12], str(run.pk)[:10].upper()):
        assert find_run(prefix, member.user) == run


@pytest.mark.parametrize("prefix", ["", "abc", "xyz12", "a" * 33, "0" * 8])
def test_find_run__nothing_so__is_not_found(member, prefix):
    make(member)
    with pytest.raises(RunNotFound):
        find_run(prefix, member.user)


def test_find_run__of_another_tenant__is_not_found(member):
    run = make(member)
    with pytest.raises(RunNotFound):
        find_run(str(run.pk), UserFactory())


def test_find_run__two_begin_so__asks_for_more(member):
    for last in (1, 2):
        BuildRunFactory(tenant=member.tenant, id=UUID(f"abcdef00-0000-4000-8000-00000000000{last}"))
    with pytest.raises(RunAmbiguous):
        find_run("abcdef", member.user)


@pytest.mark.parametrize("status", [RunStatus.QUEUED, RunStatus.WAITING_RETRY, RunStatus.WAITING_APPROVAL])
def test_request_cancel__nobody_works_on_it__is_cancelled_at_once(member, status):
    run = BuildRunFactory(tenant=member.tenant, status=status)
    request_cancel(run, actor=member.user)
    stored = BuildRun.objects.get()
    assert (stored.status, stored.fence) == ("cancelled", 1)
    assert stored.finished_at
    assert AuditEvent.objects.get().event_type == "run.cancelled"


def test_request_cancel__running__asks_the_holder_once(member):
    run = BuildRunFactory(tenant=member.tenant, status=RunStatus.RUNNING)
    request_cancel(run, actor=member.user)
    asked = BuildRun.objects.get().cancel_requested_at
    assert asked <= timezone.now()
    request_cancel(run, actor=member.user)
    assert BuildRun.objects.get().cancel_requested_at == asked
    assert BuildRun.objects.get().status == "running"
    assert not AuditEvent.objects.exists()


def in_seconds(seconds):
    return timezone.now() + timedelta(seconds=seconds)


@pytest.mark.parametrize("lease_expires_at", [-1, None])
def test_request_cancel__its_foreground_command_died__is_cancelled_at_once(member, lease_expires_at):
    lease = in_seconds(lease_expires_at) if lease_expires_at else None
    run = BuildRunFactory(
        tenant=member.tenant, status=RunStatus.RUNNING, foreground=True, lease_expires_at=lease, fence=3
    )
    step = BuildStepFactory(run=run, status=StepStatus.RUNNING)
    execution = StepExecutionFactory(step=step, end="")
    request_cancel(run, actor=member.user)
    for row in (run, step, execution):
        row.refresh_from_db()
    assert (run.status, run.foreground, run.fence) == ("cancelled", False, 4)
    assert (step.status, execution.end) == ("pending", "lost")
    assert AuditEvent.objects.get().actor_name == member.user.username


def test_request_cancel__its_foreground_command_lives__is_asked_to_stop(member):
    run = BuildRunFactory(
        tenant=member.tenant, status=RunStatus.RUNNING, foreground=True, lease_expires_at=in_seconds(30)
    )
    assert request_cancel(run, actor=member.user).status == "running"
    assert run.cancel_requested_at


@pytest.mark.parametrize("stop", ["cancel", "retry"])
def test_runs__cancelled_or_started_over_at_a_gate__the_gate_is_cancelled_too(member, stop):
    gate = ApprovalGateFactory(run__tenant=member.tenant)
    if stop == "cancel":
        request_cancel(gate.run, actor=member.user)
    else:
        BuildRun.objects.update(status=RunStatus.FAILED)
        retry_run(gate.run, actor=member.user, foreground=True)
        assert not OrmQ.objects.exists()  # a worker would take the run away from the command
    gate.refresh_from_db()
    assert gate.status == "cancelled"


def test_take_to_foreground__somebody_works_on_it__is_refused():
    run = BuildRunFactory(lease_expires_at=in_seconds(30))
    with pytest.raises(LeaseBusy):
        take_to_foreground(run)
    assert BuildRun.objects.get().foreground is False


@pytest.mark.parametrize(
    ("status", "seconds", "stays"),
    [
        (RunStatus.WAITING_APPROVAL, None, False),
        (RunStatus.WAITING_RETRY, None, False),
        (RunStatus.FAILED, None, False),
        (RunStatus.RUNNING, None, True),
        (RunStatus.WAITING_RETRY, 30, True),
    ],
)
def test_leave_foreground__run_that_waits_and_nobody_holds__is_the_workers_again(status, seconds, stays):
    run = BuildRunFactory(status=status, foreground=True, lease_expires_at=in_seconds(seconds) if seconds else None)
    leave_foreground(run)
    assert run.foreground is stays


@pytest.mark.parametrize("status", sorted(ENDED_RUNS))
def test_request_cancel__ended__is_refused(status):
    run = BuildRunFactory(status=status)
    with pytest.raises(RunNotCancellable):
        request_cancel(run, actor=None)
    assert BuildRun.objects.get().cancel_requested_at is None


@pytest.mark.parametrize("status", sorted(RETRYABLE_RUNS))
def test_retry_run__ended__is_queued_afresh(member, status):
    run = make(member, foreground=True)
    run.steps.update(status=StepStatus.FAILED, last_exit_code=1)
    facts = {"outcome": "gave_up", "result_note": "x", "first_signal": {"type": "LINT"}, "lost_holders": 4}
    BuildRun.objects.update(status=status, cancel_requested_at=timezone.now(), deadline_at=timezone.now(), **facts)
    retried = retry_run(run, actor=member.user)
    assert (retried.status, retried.iteration, retried.outcome, retried.result_note) == ("queued", 2, "", "")
    assert (retried.first_signal, retried.cancel_requested_at, retried.deadline_at) == (None, None, None)
    assert (retried.lost_holders, retried.foreground, retried.fence) == (0, False, 1)
    assert {status for *_, status in rows(run)} == {"pending"}
    assert OrmQ.objects.count() == 1
    assert AuditEvent.objects.filter(event_type="run.retried").get().payload == {"iteration": 2}


@pytest.mark.parametrize("status", sorted(set(RunStatus) - RETRYABLE_RUNS))
def test_retry_run__not_ended_or_succeeded__is_refused(status):
    run = BuildRunFactory(status=status)
    with pytest.raises(RunNotRetryable):
        retry_run(run, actor=None)
    assert BuildRun.objects.values_list("status", "iteration").get() == (status, 1)
