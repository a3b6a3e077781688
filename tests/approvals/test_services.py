import threading
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from django_q.models import OrmQ
from prometheus_client import REGISTRY

from approvals.errors import (
    GateAlreadyDecided,
    GateAlreadyOpen,
    GateExpired,
    GateNotFound,
    GateVoid,
    NotAllowedToDecide,
    ReasonRequired,
    SelfApprovalForbidden,
)
from approvals.models import ApprovalDecision, ApprovalGate, DecisionsAreFinal
from approvals.services import approve_gate, cancel_gate, expire_due, open_gate, reject_gate, void_gate
from approvals.tasks import expire_gates
from metabuilder.audit.models import AuditEvent
from metabuilder.builds.errors import LeaseLost
from metabuilder.builds.leases import take_lease
from metabuilder.builds.models import BuildRun, Tenant
from metabuilder.builds.states import RunStatus
from settings_flags.services import set_tenant_settings
from tests.approvals.conftest import make_gate, member


def state_of(gate):
    return ApprovalGate.objects.get(pk=gate.pk).status


def audited(event_type):
    return AuditEvent.objects.filter(event_type=event_type)


def counted(status):
    return REGISTRY.get_sample_value("approval_requests_total", {"status": status})


def unchanged(gate):
    return (
        state_of(gate) == "pending"
        and not gate.decisions.exists()
        and not AuditEvent.objects.filter(event_type__startswith="approval.").exists()
        and not OrmQ.objects.exists()
    )


def reopened(gate, **changes):
    """Open another gate for the same run."""
    lease = take_lease(gate.run_id)
    with transaction.atomic():
        return open_gate(
            gate.run,
            **{
                "step": None,
                "kind": "patch",
                "title": "Again?",
                "body": "",
                "evidence": [],
                "action": {"type": "retry"},
                "settings_hash": "h",
                "requested_by": None,
                "expires_at": None,
                "lease": lease,
            }
            | changes,
        )


def test_approve_gate__pending__records_decision_audit_and_wake_up(gate, owner):
    approved = approve_gate(gate, actor=owner, comment="looks right")

    assert approved.status == state_of(gate) == "approved"
    assert approved.decided_at is not None
    decision = ApprovalDecision.objects.get(gate=gate)
    assert (decision.actor, decision.verdict, decision.comment) == (owner, "approved", "looks right")
    event = audited("approval.granted").get()
    assert (event.tenant, event.subject_id) == (str(gate.run.tenant_id), str(gate.pk))
    assert (event.actor_id, event.actor_name) == (str(owner.pk), "olga")
    assert event.payload == {
        "run": str(gate.run_id),
        "kind": "patch",
        "action_hash": gate.action_hash,
        "comment": "looks right",
        "self_approval": False,
    }
    run = BuildRun.objects.get(pk=gate.run_id)
    assert run.status == RunStatus.WAITING_APPROVAL  # the orchestrator moves it, under its lease
    assert run.wake_message == OrmQ.objects.get().pk


def test_reject_gate__with_a_reason__records_it(gate, owner):
    assert reject_gate(gate, actor=owner, comment="too risky").status == state_of(gate) == "rejected"
    assert gate.decisions.get().verdict == "rejected"
    assert audited("approval.rejected").get().payload["comment"] == "too risky"
    assert OrmQ.objects.count() == 1


def test_reject_gate__without_a_reason__is_refused(gate, owner):
    with pytest.raises(ReasonRequired):
        reject_gate(gate, actor=owner, comment="  ")
    assert unchanged(gate)


def test_approve_gate__already_approved__is_refused_and_not_audited_twice(gate, owner, tenant):
    stale = ApprovalGate.objects.get(pk=gate.pk)  # what a second approver would hold
    approve_gate(gate, actor=owner)
    with pytest.raises(GateAlreadyDecided, match="already approved"):
        reject_gate(stale, actor=member("second", tenant, "admin"), comment="no")
    assert state_of(gate) == "approved"
    assert ApprovalDecision.objects.count() == AuditEvent.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_decide__two_people_at_once__one_wins_and_one_is_audited():
    tenant = Tenant.objects.create(slug="acme", name="Acme")
    people = [member(f"admin{n}", tenant, "admin") for n in range(6)]
    for _ in range(3):
        gate = make_gate(tenant)
        before = counted("approved") + counted("rejected")
        barrier = threading.Barrier(len(people))
        results = []

        def decide(number, gate=gate, barrier=barrier, results=results):
            own = ApprovalGate.objects.get(pk=gate.pk)
            barrier.wait()
            try:
                if number % 2:
                    approve_gate(own, actor=people[number])
                else:
                    reject_gate(own, actor=people[number], comment="no")
                results.append("won")
            except GateAlreadyDecided:
                results.append("lost")
            finally:
                connection.close()

        threads = [threading.Thread(target=decide, args=(number,)) for number in range(len(people))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert sorted(results) == ["lost"] * 5 + ["won"]
        assert gate.decisions.count() == 1
        assert AuditEvent.objects.filter(subject_id=str(gate.pk)).count() == 1
        assert state_of(gate) == gate.decisions.get().verdict
        assert counted("approved") + counted("rejected") == before + 1


@pytest.mark.parametrize("role", ["developer", "viewer"])
def test_decide__member_who_only_builds_or_watches__is_refused(gate, tenant, role):
    somebody = member("sam", tenant, role)
    with pytest.raises(NotAllowedToDecide):
        approve_gate(gate, actor=somebody)
    with pytest.raises(NotAllowedToDecide):
        reject_gate(gate, actor=somebody, comment="no")
    assert unchanged(gate)


def test_decide__owner_of_another_tenant__finds_no_gate(gate):
    stranger = member("mallory", Tenant.objects.create(slug="other", name="Other"), "owner")
    for actor in (stranger, User.objects.create(username="root", is_superuser=True)):
        with pytest.raises(GateNotFound):
            approve_gate(gate, actor=actor)
    assert unchanged(gate)
    assert not ApprovalGate.objects.visible_to(stranger).exists()


def test_decide__deactivated_owner__finds_no_gate(gate, owner):
    owner.is_active = False
    owner.save()
    with pytest.raises(GateNotFound):
        approve_gate(gate, actor=owner)
    assert unchanged(gate)


def test_approve_gate__own_request__is_refused(tenant, owner):
    gate = make_gate(tenant, requested_by=owner)
    with pytest.raises(SelfApprovalForbidden):
        approve_gate(gate, actor=owner)
    assert unchanged(gate)


def test_approve_gate__own_request_where_settings_allow_it__says_so_in_the_audit(tenant, owner):
    set_tenant_settings(tenant, {"self_approval": True}, actor=owner)
    gate = make_gate(tenant, requested_by=owner)
    approve_gate(gate, actor=owner)
    assert audited("approval.granted").get().payload["self_approval"] is True


@pytest.mark.parametrize(("role", "allowed"), [("owner", True), ("admin", False)])
def test_approve_gate__own_request_on_the_local_tenant__is_for_its_owner(db, role, allowed):
    local = Tenant.objects.create(slug="local", name="This machine")
    person = member("me", local, role)
    gate = make_gate(local, requested_by=person)
    if not allowed:
        with pytest.raises(SelfApprovalForbidden):
            approve_gate(gate, actor=person)
        return
    approve_gate(gate, actor=person)
    assert audited("approval.granted").get().payload["self_approval"] is True


@pytest.mark.django_db(transaction=True)
def test_approve_gate__past_its_expiry__is_expired_audited_and_woken():
    tenant = Tenant.objects.create(slug="acme", name="Acme")
    gate = make_gate(tenant, expires_in=-timedelta(seconds=1))
    with pytest.raises(GateExpired):
        approve_gate(gate, actor=member("olga", tenant, "owner"))
    assert state_of(gate) == "expired"
    assert not gate.decisions.exists()
    assert audited("approval.expired").get().actor_name == "system"
    assert OrmQ.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_approve_gate__governing_settings_changed__is_void_and_nothing_is_approved():
    tenant = Tenant.objects.create(slug="acme", name="Acme")
    owner = member("olga", tenant, "owner")
    gate = make_gate(tenant)
    set_tenant_settings(tenant, {"guard_action": "refuse"}, actor=owner)

    with pytest.raises(GateVoid):
        approve_gate(gate, actor=owner)

    assert state_of(gate) == "void"
    assert not gate.decisions.exists()
    assert "settings" in audited("approval.voided").get().payload["reason"]
    assert OrmQ.objects.count() == 1
    with pytest.raises(GateVoid):
        approve_gate(gate, actor=owner)
    assert audited("approval.voided").count() == 1


def test_approve_gate__other_settings_changed__is_approved(gate, owner, tenant):
    set_tenant_settings(tenant, {"max_total_attempts": 2}, actor=owner)
    assert approve_gate(gate, actor=owner).status == "approved"


def test_approve_gate__action_swapped_in_the_database__is_void(gate, owner):
    ApprovalGate.objects.filter(pk=gate.pk).update(action={"type": "apply_patch", "patch": "evil"})
    with pytest.raises(GateVoid):
        approve_gate(gate, actor=owner)
    assert state_of(gate) == "void"


def test_reject_gate__governing_settings_changed__is_rejected_all_the_same(gate, owner, tenant):
    set_tenant_settings(tenant, {"guard_action": "refuse"}, actor=owner)
    assert reject_gate(gate, actor=owner, comment="no").status == "rejected"


def test_approve_gate__viewer_after_settings_changed__closes_nothing(gate, owner, tenant):
    set_tenant_settings(tenant, {"guard_action": "refuse"}, actor=owner)
    with pytest.raises(NotAllowedToDecide):
        approve_gate(gate, actor=member("vic", tenant, "viewer"))
    assert unchanged(gate)


def test_approve_gate__run_has_ended__is_cancelled_and_wakes_nothing(gate, owner):
    BuildRun.objects.filter(pk=gate.run_id).update(status=RunStatus.CANCELLED)
    with pytest.raises(GateAlreadyDecided, match="cancelled"):
        approve_gate(gate, actor=owner)
    assert state_of(gate) == "cancelled"
    assert not OrmQ.objects.exists()


def test_open_gate__a_second_one__is_refused_by_us_and_by_the_database(gate):
    with pytest.raises(GateAlreadyOpen):
        reopened(gate)
    copy = ApprovalGate.objects.get(pk=gate.pk)
    copy.pk = None
    with pytest.raises(IntegrityError), transaction.atomic():
        copy.save(force_insert=True)
    assert ApprovalGate.objects.count() == 1


def test_open_gate__after_the_first_was_decided__opens_another(gate, owner):
    approve_gate(gate, actor=owner)
    assert reopened(gate).status == "pending"


def test_open_gate__lease_lost__opens_nothing(gate, owner):
    approve_gate(gate, actor=owner)
    lease = take_lease(gate.run_id)
    BuildRun.objects.filter(pk=gate.run_id).update(fence=lease.fence + 1)
    with pytest.raises(LeaseLost), transaction.atomic():
        open_gate(
            gate.run,
            step=None,
            kind="patch",
            title="?",
            body="",
            evidence=[],
            action={"type": "retry"},
            settings_hash="h",
            requested_by=None,
            expires_at=None,
            lease=lease,
        )
    assert ApprovalGate.objects.count() == 1


def test_open_gate__hostile_text__is_stored_and_its_action_can_be_approved(tenant, owner):
    gate = make_gate(tenant, title="nul \0 and " + "x" * 400, summary="\0", level=1.0, share=0.25, huge=10**30)
    assert len(ApprovalGate.objects.get(pk=gate.pk).title) == 300
    assert approve_gate(gate, actor=owner).status == "approved"


def test_expire_due__some_gates_due__expires_those_and_wakes_their_runs(tenant):
    late = [make_gate(tenant, expires_in=-timedelta(minutes=1)) for _ in range(2)]
    early = make_gate(tenant)
    assert expire_due(timezone.now()) == 2
    assert [state_of(gate) for gate in late] == ["expired", "expired"]
    assert state_of(early) == "pending"
    assert audited("approval.expired").count() == OrmQ.objects.count() == 2
    assert expire_gates() == 0
    assert audited("approval.expired").count() == 2


def test_expire_due__run_has_ended__cancels_its_gate(gate):
    BuildRun.objects.filter(pk=gate.run_id).update(status=RunStatus.CANCELLED)
    assert expire_due(timezone.now()) == 0
    assert state_of(gate) == "cancelled"


def test_void_gate__pending__is_audited_with_the_reason(gate):
    void_gate(gate, reason="the base commit moved")
    assert gate.status == state_of(gate) == "void"
    assert audited("approval.voided").get().payload["reason"] == "the base commit moved"
    with pytest.raises(GateVoid):
        cancel_gate(gate)


def test_cancel_gate__pending__is_closed(gate):
    cancel_gate(gate)
    assert gate.status == state_of(gate) == "cancelled"
    with pytest.raises(GateAlreadyDecided):
        void_gate(gate, reason="late")


@pytest.mark.django_db(transaction=True)
def test_metrics__gate_opened_and_decided__counts_each_status_once_it_commits():
    tenant = Tenant.objects.create(slug="acme", name="Acme")
    owner = member("olga", tenant, "owner")
    pending, approved = counted("pending"), counted("approved")
    gate = make_gate(tenant)
    assert counted("pending") == pending + 1
    with transaction.atomic():
        approve_gate(gate, actor=owner)
        transaction.set_rollback(True)
    assert counted("approved") == approved
    approve_gate(gate, actor=owner)
    assert counted("approved") == approved + 1


def test_decision__changed_later__is_refused(gate, owner):
    approve_gate(gate, actor=owner)
    decision = gate.decisions.get()
    decision.comment = "I said no"
    for change in (decision.save, decision.delete):
        with pytest.raises(DecisionsAreFinal):
            change()
    assert gate.decisions.get().comment == ""
