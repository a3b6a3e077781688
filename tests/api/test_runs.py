import pytest
from django_q.models import OrmQ

from metabuilder.audit.models import AuditEvent
from metabuilder.builds.models import BuildRun, ScaffoldPlan
from metabuilder.builds.states import Role, RunStatus
from settings_flags.models import RunSettings
from settings_flags.services import effective_settings
from tests.api.conftest import assert_problem, client_of
from tests.factories import ApprovalGateFactory, BuildRunFactory, ScaffoldPlanFactory, TenantFactory, member, plan_body

pytestmark = pytest.mark.django_db
RUNS, PLANS = "/api/meta/v2/runs", "/api/meta/v2/plans"
SOURCE = "https://git.example/acme/api.git"


def create(client, **body):
    body = {"source": SOURCE, "plan": plan_body(), **body}
    return client.post(RUNS, {key: value for key, value in body.items() if value is not None}, format="json")


def fields(problem):
    return [error["field"] for error in problem["errors"]]


def test_create_run__source_and_plan__starts_it(owner, tenant):
    answer = create(owner, ref="main")

    assert answer.status_code == 201
    run = BuildRun.objects.get()
    assert answer["Location"] == f"{RUNS}/{run.pk}"
    assert owner.get(answer["Location"]).json() == answer.json()
    assert (run.tenant, run.created_by.username, run.source, run.ref) == (tenant, "owner", SOURCE, "main")
    assert [step.name for step in run.steps.all()] == ["test"]
    assert OrmQ.objects.count() == 1
    assert AuditEvent.objects.get(event_type="run.created").actor_name == "owner"


def test_create_run__held__starts_once_released(owner):
    run_id = create(owner, hold=True).json()["id"]
    assert OrmQ.objects.count() == 0

    assert owner.post(f"{RUNS}/{run_id}/release").json()["hold"] is False
    assert OrmQ.objects.count() == 1
    assert_problem(owner.post(f"{RUNS}/{run_id}/release"), 409, "run_not_held")
    assert OrmQ.objects.count() == 1


def test_create_run__held_and_cancelled__cannot_be_released(owner):
    run_id = create(owner, hold=True).json()["id"]
    owner.post(f"{RUNS}/{run_id}/cancel")
    assert_problem(owner.post(f"{RUNS}/{run_id}/release"), 409, "run_not_held")


def test_create_run__stored_plan__is_used(owner, tenant):
    stored = ScaffoldPlanFactory(tenant=tenant)
    assert create(owner, plan=None, plan_id=str(stored.pk)).json()["plan"] == str(stored.pk)


def test_create_run__plan_of_another_tenant__is_not_found(owner):
    assert_problem(create(owner, plan=None, plan_id=str(ScaffoldPlanFactory().pk)), 404)
    assert not BuildRun.objects.exists()


@pytest.mark.parametrize("both", [True, False])
def test_create_run__both_plans_or_none__is_refused(owner, tenant, both):
    body = {"plan_id": str(ScaffoldPlanFactory(tenant=tenant).pk)} if both else {"plan": None}
    assert fields(assert_problem(create(owner, **body), 400)) == ["plan"]


def test_create_run__invalid_plan__names_every_path(owner):
    plan = {"name": "p", "steps": [{"name": "a", "run": "x"}, {"name": "b", "run": "y", "needs": ["c"], "kind": "z"}]}

    problem = assert_problem(create(owner, plan=plan), 400, "invalid_plan")

    assert {"steps[1].needs[0]", "steps[1].kind"} <= set(fields(problem))
    assert not BuildRun.objects.exists()


def test_create_run__member_of_several_tenants__has_to_name_one(people):
    user = people["owner"]
    second = TenantFactory(slug="second")
    second.memberships.create(user=user, role=Role.VIEWER)
    client = client_of(user)

    assert fields(assert_problem(create(client), 400)) == ["tenant"]
    assert create(client, tenant="acme").json()["tenant"] == "acme"
    assert create(client, tenant=str(people["outsider"].memberships.get().tenant_id)).status_code == 404
    assert create(client, tenant="second").status_code == 403


@pytest.mark.parametrize(
    "source",
    [
        "/srv/repositories/api",
        ".",
        "file:///srv/repositories/api",
        "FILE:///etc",
        "ext::sh -c whoami",
        "http://git.example/a.git",
        "fd::7",
        "-upload-pack=touch /tmp/x",
        "--upload-pack=x:y",
    ],
)
def test_create_run__source_that_is_not_allowed__is_refused(owner, source):
    problem = assert_problem(create(owner, source=source), 400)
    assert problem["errors"][0] == {
        "field": "source",
        "code": "source_refused",
        "detail": problem["errors"][0]["detail"],
    }
    assert not BuildRun.objects.exists()


def test_create_run__local_source_where_the_platform_allows_it__is_taken(owner, settings, tmp_path):
    (tmp_path / ".git").mkdir()
    settings.METABUILDER_ALLOW_LOCAL_SOURCES = True
    assert create(owner, source=str(tmp_path)).status_code == 201
    assert fields(assert_problem(create(owner, source=str(tmp_path / "missing")), 400)) == ["source"]
    assert_problem(create(owner, source="ext::sh -c whoami"), 400)


def test_create_run__password_in_the_source__is_refused_and_not_repeated(owner):
    answer = create(owner, source="https://bot:s3cr3t@git.example/a.git")
    assert answer.status_code == 400
    assert "ssh://" in answer.json()["detail"]
    assert "s3cr3t" not in answer.content.decode()
    assert not BuildRun.objects.exists()


def test_create_run__with_settings__has_them_from_the_start(owner):
    run_id = create(owner, settings={"max_total_attempts": 2, "auto_fix_enabled": False}).json()["id"]

    effective = effective_settings(BuildRun.objects.get(pk=run_id))
    assert (effective.max_total_attempts, effective.auto_fix_enabled) == (2, False)


def test_create_run__bad_settings__names_each_and_creates_nothing(owner):
    wrong = {"max_total_attempts": 999, "no_such": 1, "backoff_cap_seconds": "long"}

    problem = assert_problem(create(owner, settings=wrong), 400)

    assert sorted(fields(problem)) == [f"settings.{name}" for name in sorted(wrong)]
    codes = {error["field"].rpartition(".")[2]: error["code"] for error in problem["errors"]}
    assert codes["max_total_attempts"] == "setting_out_of_range"
    assert not BuildRun.objects.exists()
    assert not RunSettings.objects.exists()
    assert not ScaffoldPlan.objects.exists()
    assert OrmQ.objects.count() == 0


def test_runs__status_and_tenant_filters__select(owner, tenant, people):
    failed = BuildRunFactory(tenant=tenant, status=RunStatus.FAILED)
    queued = BuildRunFactory(tenant=tenant)
    ended = BuildRunFactory(tenant=tenant, status=RunStatus.SUCCEEDED)

    def found(query):
        return {row["id"] for row in owner.get(f"{RUNS}?{query}").json()["results"]}

    assert found("status=failed") == {str(failed.pk)}
    assert found("status=failed,queued") == {str(failed.pk), str(queued.pk)}
    assert found("tenant=acme") == {str(run.pk) for run in (failed, queued, ended)}
    assert_problem(owner.get(f"{RUNS}?status=broken"), 400)
    assert_problem(owner.get(f"{RUNS}?tenant=other"), 404)
    assert_problem(owner.get(f"{RUNS}?tenant=%00"), 400)


def test_cancel__queued__ends_at_once_and_twice_is_a_conflict(owner, tenant):
    run = BuildRunFactory(tenant=tenant)
    assert owner.post(f"{RUNS}/{run.pk}/cancel").json()["status"] == "cancelled"
    assert_problem(owner.post(f"{RUNS}/{run.pk}/cancel"), 409, "run_not_cancellable")
    assert AuditEvent.objects.filter(event_type="run.cancelled").count() == 1


def test_cancel__running__asks_its_holder(owner, tenant):
    run = BuildRunFactory(tenant=tenant, status=RunStatus.RUNNING)
    body = owner.post(f"{RUNS}/{run.pk}/cancel").json()
    assert body["status"] == "running"
    assert body["cancel_requested_at"]


def test_plans__same_plan_twice__is_stored_once(owner, tenant):
    first = owner.post(PLANS, {"plan": plan_body()}, format="json")
    second = owner.post(PLANS, {"plan": plan_body(), "tenant": str(tenant.pk)}, format="json")

    assert first.status_code == second.status_code == 201
    assert first.json()["id"] == second.json()["id"]
    assert owner.get(first["Location"]).json()["plan"] == plan_body()
    (row,) = owner.get(PLANS).json()["results"]
    assert "plan" not in row


def test_plans__not_an_object__is_an_invalid_plan(owner):
    assert_problem(owner.post(PLANS, {"plan": "steps"}, format="json"), 400, "invalid_plan")
    assert fields(assert_problem(owner.post(PLANS, {}, format="json"), 400)) == ["plan"]


def test_session__same_browser__may_use_the_api_and_needs_csrf(tenant):
    from rest_framework.test import APIClient

    browser = APIClient(enforce_csrf_checks=True)
    browser.force_login(member(tenant, Role.OWNER))

    assert browser.get(RUNS).status_code == 200
    assert_problem(create(browser), 403, "permission_denied")
    assert not BuildRun.objects.exists()

    browser.get(f"/settings/builder/auto-fix/{tenant.slug}")  # sets the cookie
    browser.credentials(HTTP_X_CSRFTOKEN=browser.cookies["csrftoken"].value)
    assert create(browser).status_code == 201


def test_cancel__run_at_a_gate__closes_the_gate(owner, tenant):
    gate = ApprovalGateFactory(run__tenant=tenant)
    assert owner.post(f"{RUNS}/{gate.run_id}/cancel").json()["status"] == "cancelled"
    gate.refresh_from_db()
    assert gate.status == "cancelled"


def test_plan__secret_in_its_env__is_stored_but_not_shown(owner, tenant):
    step = {"name": "s", "run": "x", "env": {"API_TOKEN": "tok-123456", "MODE": "fast"}}
    answer = owner.post("/api/meta/v2/plans", {"plan": {"name": "p", "steps": [step]}}, format="json")
    assert answer.status_code == 201
    assert "tok-123456" not in answer.content.decode()
    assert answer.json()["plan"]["steps"][0]["env"]["MODE"] == "fast"
    assert ScaffoldPlan.objects.get().body["steps"][0]["env"]["API_TOKEN"] == "tok-123456"
