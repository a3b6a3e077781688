"""The v3 API: what auto-fix did, deciding gates, retrying, classifying."""

import uuid
from datetime import timedelta

import pytest
from django.utils import timezone
from django_q.models import OrmQ

from approvals.models import ApprovalGate
from metabuilder.audit.models import AuditEvent
from metabuilder.builds.models import BuildRun
from metabuilder.builds.states import Role, RunStatus
from settings_flags.services import set_tenant_settings
from tests.api.conftest import assert_problem, client_of
from tests.factories import (
    ApprovalGateFactory,
    AutoFixRunFactory,
    BuildRunFactory,
    BuildStepFactory,
    FailurePatternFactory,
    FixTrialFactory,
    PlanDeltaFactory,
    RetryStateFactory,
    TenantFactory,
    UserFactory,
    member,
)

pytestmark = pytest.mark.django_db
V3 = "/api/meta/v3/"


@pytest.fixture
def tenant(db):
    return TenantFactory(slug="acme")


@pytest.fixture
def owner(tenant):
    return client_of(member(tenant, Role.OWNER, username="owner"))


# What auto-fix did


def test_autofix__attempts_with_trials__are_listed_oldest_first_with_the_budgets(owner, tenant):
    step = BuildStepFactory(run__tenant=tenant, name="lint")
    retry = AutoFixRunFactory(step=step, strategy="RETRY", outcome="failed", backoff=1.5)
    patch = AutoFixRunFactory(step=step, attempt=2, candidate_key="ruff", decision={"reason": "ruff"})
    FixTrialFactory(attempt=patch, number=2, passed=True, ladder_level=3, guard_verdict={"action": "allow"})
    FixTrialFactory(attempt=patch, number=1, reason="does not apply")
    RetryStateFactory(
        run=step.run, attempt_counter=9, total_attempts=2, per_step_attempts={"lint": 2}, max_total_attempts=6
    )

    body = owner.get(f"{V3}runs/{step.run_id}/autofix").json()

    assert [row["id"] for row in body["results"]] == [str(retry.pk), str(patch.pk)]
    first, second = body["results"]
    assert (first["step"], first["strategy"], first["outcome"], first["backoff"]) == ("lint", "RETRY", "failed", 1.5)
    assert first["trials"] == []
    assert second["decision"] == {"reason": "ruff"}
    assert {trial["number"]: trial["passed"] for trial in second["trials"]} == {1: False, 2: True}
    assert "import sys" in second["trials"][0]["diff"]
    assert body["summary"] == {
        "status": "queued",
        "outcome": "",
        "iteration": 1,
        "auto_fix_enabled": True,
        "attempt_counter": 9,
        "total_attempts": 2,
        "max_total_attempts": 6,
        "per_step_attempts": {"lint": 2},
        "max_per_step_attempts": 3,
        "last_backoff_seconds": None,
        "outcomes": {"failed": 1, "succeeded": 1},
    }


def test_autofix__setting_tightened_since__lowers_the_budget_shown(owner, tenant):
    run = RetryStateFactory(run__tenant=tenant, max_total_attempts=6).run
    set_tenant_settings(tenant, {"max_total_attempts": 2}, actor=None)

    assert owner.get(f"{V3}runs/{run.pk}/autofix").json()["summary"]["max_total_attempts"] == 2


def test_autofix__run_that_has_not_started__has_the_budget_it_will_get(owner, tenant):
    body = owner.get(f"{V3}runs/{BuildRunFactory(tenant=tenant).pk}/autofix").json()
    assert body["results"] == []
    assert (body["summary"]["total_attempts"], body["summary"]["max_total_attempts"]) == (0, 10)


def test_plan_deltas__replanned_run__shows_the_patch_between_two_plans(owner, tenant):
    delta = PlanDeltaFactory(run__tenant=tenant)
    PlanDeltaFactory(run__tenant=tenant)

    (row,) = owner.get(f"{V3}runs/{delta.run_id}/plan-deltas").json()["results"]

    assert row["delta_data"] == [{"op": "replace", "path": "/steps/0/timeout", "value": 900}]
    assert (row["original_plan"], row["new_plan"]) == (str(delta.original_plan_id), str(delta.new_plan_id))
    assert owner.get(f"/api/meta/v2/plans/{row['new_plan']}").json()["plan"] == delta.new_plan.body


def test_escalations__run_with_a_gate__shows_what_approving_means(owner, tenant):
    gate, other = ApprovalGateFactory(run__tenant=tenant), ApprovalGateFactory(run__tenant=tenant)

    (row,) = owner.get(f"{V3}runs/{gate.run_id}/escalations").json()["results"]

    assert row["id"] == str(gate.pk) != str(other.pk)
    assert row["action"] == gate.action
    assert row["evidence"][0]["text"] == "E   assert 1 == 2"
    assert "Base commit: abc123" in row["meaning"]


# Retrying


@pytest.mark.parametrize("status", [RunStatus.FAILED, RunStatus.ROLLED_BACK, RunStatus.CANCELLED])
def test_retry__ended_badly__is_queued_again_with_the_next_iteration(owner, tenant, status):
    run = BuildRunFactory(tenant=tenant, status=status, iteration=2)

    answer = owner.post(f"{V3}runs/{run.pk}/retry")

    assert (answer.json()["status"], answer.json()["iteration"]) == ("queued", 3)
    assert OrmQ.objects.count() == 1
    assert AuditEvent.objects.get(event_type="run.retried").actor_name == "owner"


@pytest.mark.parametrize("status", sorted(set(RunStatus) - {"failed", "rolled_back", "cancelled"}))
def test_retry__any_other_status__is_a_conflict(owner, tenant, status):
    run = BuildRunFactory(tenant=tenant, status=status)

    assert_problem(owner.post(f"{V3}runs/{run.pk}/retry"), 409, "run_not_retryable")
    assert BuildRun.objects.get(pk=run.pk).iteration == 1
    assert OrmQ.objects.count() == 0


# Gates


@pytest.mark.parametrize(("verb", "status"), [("approve", "approved"), ("reject", "rejected")])
def test_decide__pending_gate__is_decided_audited_and_wakes_the_run(owner, tenant, verb, status):
    gate = ApprovalGateFactory(run__tenant=tenant)

    body = owner.post(f"{V3}approvals/{gate.pk}/{verb}", {"comment": "looked at it"}, format="json").json()

    assert body["status"] == status
    assert body["decided_at"]
    (decision,) = body["decisions"]
    assert (decision["actor"], decision["verdict"], decision["comment"]) == ("owner", status, "looked at it")
    assert OrmQ.objects.count() == 1
    event = {"approve": "approval.granted", "reject": "approval.rejected"}[verb]
    assert AuditEvent.objects.filter(event_type=event).count() == 1


@pytest.mark.parametrize("first", ["approve", "reject"])
@pytest.mark.parametrize("second", ["approve", "reject"])
def test_decide__second_decision__is_a_conflict_and_changes_nothing(owner, tenant, first, second):
    gate = ApprovalGateFactory(run__tenant=tenant)
    address = f"{V3}approvals/{gate.pk}/"
    decided = owner.post(address + first, {"comment": "x"}, format="json").json()["status"]
    other = client_of(member(tenant, Role.ADMIN))

    assert_problem(other.post(address + second, {"comment": "y"}, format="json"), 409, "gate_already_decided")

    gate.refresh_from_db()
    assert gate.status == decided
    assert gate.decisions.count() == 1


def test_approve__without_a_body__needs_none(owner, tenant):
    gate = ApprovalGateFactory(run__tenant=tenant)
    assert owner.post(f"{V3}approvals/{gate.pk}/approve").json()["status"] == "approved"


@pytest.mark.parametrize("comment", [None, "", "   "])
def test_reject__without_a_reason__names_the_field(owner, tenant, comment):
    gate = ApprovalGateFactory(run__tenant=tenant)
    body = {} if comment is None else {"comment": comment}

    problem = assert_problem(owner.post(f"{V3}approvals/{gate.pk}/reject", body, format="json"), 400, "invalid")

    assert problem["errors"][0]["field"] == "comment"
    assert ApprovalGate.objects.get(pk=gate.pk).status == "pending"


def test_approve__what_one_asked_for__is_forbidden(tenant):
    asker = member(tenant, Role.OWNER)
    gate = ApprovalGateFactory(run__tenant=tenant, requested_by=asker)

    answer = client_of(asker).post(f"{V3}approvals/{gate.pk}/approve")

    assert_problem(answer, 403, "self_approval_forbidden")
    assert ApprovalGate.objects.get(pk=gate.pk).status == "pending"


def test_approve__overdue_gate__is_a_conflict_and_the_gate_stays_expired(owner, tenant):
    gate = ApprovalGateFactory(run__tenant=tenant, expires_at=timezone.now() - timedelta(seconds=1))

    assert_problem(owner.post(f"{V3}approvals/{gate.pk}/approve"), 409, "gate_expired")

    assert ApprovalGate.objects.get(pk=gate.pk).status == "expired"
    assert AuditEvent.objects.filter(event_type="approval.expired").count() == 1


def test_approve__settings_that_govern_it_changed__is_a_conflict_and_the_gate_is_void(owner, tenant):
    gate = ApprovalGateFactory(run__tenant=tenant)
    set_tenant_settings(tenant, {"protected_paths": ["secrets/**"]}, actor=None)

    assert_problem(owner.post(f"{V3}approvals/{gate.pk}/approve"), 409, "gate_void")
    assert ApprovalGate.objects.get(pk=gate.pk).status == "void"


def test_approvals__status_filter__selects(owner, tenant):
    pending, approved = ApprovalGateFactory(run__tenant=tenant), ApprovalGateFactory(run__tenant=tenant)
    owner.post(f"{V3}approvals/{approved.pk}/approve")

    for status, gate in (("pending", pending), ("approved", approved)):
        rows = owner.get(f"{V3}approvals?status={status}").json()["results"]
        assert [row["id"] for row in rows] == [str(gate.pk)]
    assert_problem(owner.get(f"{V3}approvals?status=nonsense"), 400)


def test_approval__unknown_id__is_not_found(owner):
    assert_problem(owner.get(f"{V3}approvals/{uuid.uuid4()}"), 404, "not_found")
    assert_problem(owner.post(f"{V3}approvals/{uuid.uuid4()}/approve"), 404, "not_found")


# Classifying


def classify(client, **body):
    return client.post(f"{V3}classify-failure", {"step_name": "test", "logs": "", **body}, format="json")


def test_classify_failure__python_import_error__gives_the_whole_signal(owner):
    log = "Traceback (most recent call last):\n  File \"a.py\", line 1\nModuleNotFoundError: No module named 'zzlib'\n"

    body = classify(owner, logs=log, exit_code=1, step_kind="test", command="pytest -q", artifacts=["r.xml"]).json()

    assert set(body) == {
        *("type", "confidence", "message", "evidence", "fingerprint", "can_retry", "requires_replan"),
        *("requires_approval", "details", "others"),
    }
    assert body["type"] == "RUNTIME"
    assert 0 < body["confidence"] <= 1
    assert body["message"] == "ModuleNotFoundError: No module named 'zzlib'"
    assert body["evidence"][0]["number"] == 3
    assert body["evidence"][0]["rule"]
    assert body["details"]["module"] == "zzlib"
    assert body["details"]["exit_code"] == 1
    assert len(body["fingerprint"]) > 10


def test_classify_failure__exit_code__is_part_of_the_answer(owner):
    assert classify(owner, exit_code=137).json()["type"] == "INFRA"
    assert classify(owner).json()["type"] == "UNKNOWN"


def test_classify_failure__secret_in_the_log__does_not_come_back(owner):
    log = (
        "fatal: unable to access 'https://bob:hunter2hunter2@git.example/x.git/': Could not resolve host: git.example\n"
    )
    answer = classify(owner, logs=log, exit_code=128)
    assert answer.json()["type"] == "TRANSIENT"
    assert "hunter2" not in answer.content.decode()


@pytest.mark.parametrize("how", ["slug", "id", "run"])
def test_classify_failure__tenant_or_run_named__uses_that_tenants_rules(owner, tenant, how):
    FailurePatternFactory(tenant=tenant, pattern="^the farm is out of slots", signal_type="INFRA")
    named = {
        "slug": {"tenant_id": "acme"},
        "id": {"tenant_id": str(tenant.pk)},
        "run": {"run_id": str(BuildRunFactory(tenant=tenant).pk)},
    }[how]

    assert classify(owner, logs="the farm is out of slots\n", **named).json()["type"] == "INFRA"
    assert classify(owner, logs="the farm is out of slots\n").json()["type"] == "UNKNOWN"


def test_classify_failure__another_tenants_rules__are_not_found(owner):
    foreign = BuildRunFactory()
    assert_problem(classify(owner, tenant_id=foreign.tenant.slug), 404)
    assert_problem(classify(owner, run_id=str(foreign.pk)), 404)


def test_classify_failure__tenant_and_run__is_refused(owner, tenant):
    run = BuildRunFactory(tenant=tenant)
    problem = assert_problem(classify(owner, tenant_id="acme", run_id=str(run.pk)), 400)
    assert problem["errors"][0]["field"] == "run_id"


def test_classify_failure__log_of_one_mebibyte__is_taken_and_one_byte_more_is_not(owner):
    log = "x" * ((1 << 20) - 40) + "\nConnection reset by peer"
    assert classify(owner, logs=log.ljust(1 << 20)).status_code == 200
    assert_problem(classify(owner, logs=log.ljust((1 << 20) + 1)), 413, "payload_too_large")
    assert_problem(classify(owner, logs="x" * (9 << 20)), 413, "payload_too_large")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"logs": None}, "logs"),
        ({"step_name": ""}, "step_name"),
        ({"exit_code": "many"}, "exit_code"),
        ({"exit_code": 2**40}, "exit_code"),
        ({"step_kind": "party"}, "step_kind"),
        ({"artifacts": "report.xml"}, "artifacts"),
        ({"artifacts": [{}]}, "artifacts[0]"),
        ({"run_id": "7"}, "run_id"),
        ({"logs": "a\x00b"}, "logs"),
    ],
)
def test_classify_failure__bad_field__is_named(owner, body, field):
    problem = assert_problem(classify(owner, **body), 400, "invalid")
    assert problem["errors"][0]["field"] == field


def test_classify_failure__member_of_no_tenant__may_ask(db):
    assert classify(client_of(UserFactory()), logs="").status_code == 200
