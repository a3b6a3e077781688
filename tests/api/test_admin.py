import re
from urllib.parse import unquote

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from autofix.models import FailurePattern
from metabuilder.audit.models import AuditEvent
from metabuilder.builds.logs import open_log
from metabuilder.builds.models import ApiToken, Membership, Tenant
from metabuilder.builds.states import Role
from tests.api.conftest import client_of, queries_of
from tests.factories import (
    ApiTokenFactory,
    ApprovalGateFactory,
    AutoFixRunFactory,
    BuildRunFactory,
    BuildStepFactory,
    FailurePatternFactory,
    FixTrialFactory,
    MembershipFactory,
    PlanDeltaFactory,
    RetryStateFactory,
    StepExecutionFactory,
    UserFactory,
    member,
)

pytestmark = pytest.mark.django_db


def signed_in(user):
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def staff(tenant):
    return signed_in(member(tenant, Role.DEVELOPER, is_staff=True))


@pytest.fixture
def tenant_owner(tenant):
    return signed_in(member(tenant, Role.OWNER, is_staff=True))


@pytest.fixture
def root(db):
    return signed_in(UserFactory(is_staff=True, is_superuser=True, username="root"))


@pytest.fixture
def rows(tenant):
    """One row of each model, all of one tenant, by admin name."""
    trial = FixTrialFactory(attempt__step__run__tenant=tenant)
    run = trial.attempt.run
    return {
        "builds_tenant": tenant,
        "builds_membership": MembershipFactory(tenant=tenant, role=Role.VIEWER),
        "builds_scaffoldplan": run.plan,
        "builds_buildrun": run,
        "builds_buildstep": trial.attempt.step,
        "builds_stepexecution": StepExecutionFactory(step=trial.attempt.step),
        "autofix_autofixrun": trial.attempt,
        "autofix_fixtrial": trial,
        "autofix_retrystate": RetryStateFactory(run=run),
        "autofix_plandelta": PlanDeltaFactory(run=run),
        "autofix_failurepattern": FailurePatternFactory(tenant=tenant),
    }


def addresses(rows):
    for name, row in rows.items():
        yield reverse(f"admin:{name}_changelist"), reverse(f"admin:{name}_change", args=[row.pk]), row


def test_pages__staff_of_the_tenant__are_shown_without_django_permissions(staff, rows):
    for listing, detail, _row in addresses(rows):
        assert detail in staff.get(listing).content.decode(), listing
        assert staff.get(detail).status_code == 200, detail


def test_pages__staff_of_another_tenant__show_nothing_of_it(rows):
    stranger = signed_in(member(Tenant.objects.create(slug="far"), is_staff=True))
    for listing, detail, row in addresses(rows):
        page = stranger.get(listing)
        assert page.status_code == 200
        assert str(row.pk) not in page.content.decode(), listing
        assert stranger.get(detail).status_code == 302, detail  # the admin's way to say "no such row"


def test_pages__superuser__sees_every_tenant(root, rows):
    for listing, detail, _row in addresses(rows):
        assert detail in root.get(listing).content.decode(), listing
        assert root.get(detail).status_code == 200, detail


def test_pages__anonymous_or_not_staff__are_sent_to_the_login(tenant, rows):
    for client in (Client(), signed_in(member(tenant))):
        for listing, _detail, _row in addresses(rows):
            assert "/login/" in client.get(listing)["Location"]


def test_history__nobody__can_edit_it(root, rows):
    for name in rows.keys() - {"builds_tenant", "builds_membership", "autofix_failurepattern"}:
        assert root.get(reverse(f"admin:{name}_add")).status_code == 403, name
        assert root.post(reverse(f"admin:{name}_change", args=[rows[name].pk]), {}).status_code == 403, name
        assert root.post(reverse(f"admin:{name}_delete", args=[rows[name].pk]), {"post": "yes"}).status_code == 403


def test_run_page__healed_run__shows_steps_attempts_gates_signal_and_branch_with_links(staff, tenant):
    run = BuildRunFactory(
        tenant=tenant,
        branch="metabuilder/run-1",
        delivered="https://git.example/acme/api.git metabuilder/run-1",
        first_signal={"type": "LINT", "confidence": 0.93, "message": "F401 <os> imported but unused"},
        source="https://someone:s3cr3t@git.example/acme/api.git",
    )
    step = BuildStepFactory(run=run, name="lint", command="ruff check .")
    attempt, gate = AutoFixRunFactory(step=step), ApprovalGateFactory(run=run, step=step)

    page = staff.get(reverse("admin:builds_buildrun_change", args=[run.pk])).content.decode()

    assert "F401 &lt;os&gt; imported but unused" in page
    assert "93% sure" in page
    assert "https://git.example/acme/api.git metabuilder/run-1" in page
    assert "s3cr3t" not in page
    for name, row in {"builds_buildstep": step, "autofix_autofixrun": attempt, "approvals_approvalgate": gate}.items():
        assert reverse(f"admin:{name}_change", args=[row.pk]) in page


def test_execution_page__stored_log__is_shown_as_text(staff, tenant):
    execution = StepExecutionFactory(step__run__tenant=tenant, log_ref="r/s/00001")
    log = open_log("r/s/00001")
    log.append(b"<script>alert(1)</script>\n")
    log.close()

    page = staff.get(reverse("admin:builds_stepexecution_change", args=[execution.pk])).content.decode()

    assert "&lt;script&gt;alert(1)" in page


@pytest.mark.parametrize("name", ["builds_buildrun", "builds_buildstep", "autofix_autofixrun", "autofix_retrystate"])
def test_list__more_rows__takes_no_more_queries(staff, tenant, name):
    RetryStateFactory(run=AutoFixRunFactory(step__run__tenant=tenant).run)
    before = queries_of(staff, reverse(f"admin:{name}_changelist"))
    for _ in range(9):
        RetryStateFactory(run=AutoFixRunFactory(step__run__tenant=tenant).run)

    assert queries_of(staff, reverse(f"admin:{name}_changelist")) == before


def test_workers__only_superusers__see_machines(staff, root):
    address = reverse("admin:builds_workerheartbeat_changelist")
    assert staff.get(address).status_code == 403
    assert root.get(address).status_code == 200


# Members


def events(tenant):
    found = AuditEvent.objects.filter(tenant=str(tenant.pk), event_type="member.changed").order_by("seq")
    return [(event.actor_name, event.payload) for event in found]


def test_membership__superuser_adds_changes_and_removes__is_audited_each_time(root, tenant):
    member(tenant, Role.OWNER)
    user = UserFactory(username="nia")
    add, listing = reverse("admin:builds_membership_add"), reverse("admin:builds_membership_changelist")

    assert root.post(add, {"tenant": tenant.pk, "user": user.pk, "role": "viewer"})["Location"] == listing
    membership = Membership.objects.get(user=user)
    root.post(reverse("admin:builds_membership_change", args=[membership.pk]), {"role": "admin"})
    assert Membership.objects.get(user=user).role == Role.ADMIN
    root.post(listing, {"action": "delete_selected", "_selected_action": membership.pk, "post": "yes"})

    assert not Membership.objects.filter(user=user).exists()
    assert events(tenant) == [
        ("root", {"user": "nia", "change": "added", "role": "viewer"}),
        ("root", {"user": "nia", "change": "role", "role": "admin", "old_role": "viewer"}),
        ("root", {"user": "nia", "change": "removed", "role": "admin"}),
    ]


def test_membership__same_role_again__is_not_audited(root, tenant):
    membership = MembershipFactory(tenant=tenant, role=Role.VIEWER)
    root.post(reverse("admin:builds_membership_change", args=[membership.pk]), {"role": "viewer"})
    assert events(tenant) == []


@pytest.mark.parametrize("how", ["change", "delete"])
def test_membership__last_owner__stays(root, tenant, how):
    membership = MembershipFactory(tenant=tenant, role=Role.OWNER)
    body = {"role": "viewer"} if how == "change" else {"post": "yes"}

    page = root.post(reverse(f"admin:builds_membership_{how}", args=[membership.pk]), body, follow=True)

    assert "is the last owner" in page.content.decode()
    membership.refresh_from_db()
    assert membership.role == Role.OWNER
    assert events(tenant) == []


def test_membership__owner_who_is_no_superuser__cannot_edit(tenant_owner, tenant):
    membership = MembershipFactory(tenant=tenant, role=Role.VIEWER)
    address = reverse("admin:builds_membership_change", args=[membership.pk])
    assert tenant_owner.post(address, {"role": "owner"}).status_code == 403
    assert tenant_owner.get(reverse("admin:builds_membership_add")).status_code == 403


def test_tenant__superuser__makes_one_and_cannot_change_its_slug(root):
    root.post(reverse("admin:builds_tenant_add"), {"slug": "new", "name": "New"})
    tenant = Tenant.objects.get(slug="new")
    root.post(reverse("admin:builds_tenant_change", args=[tenant.pk]), {"slug": "other", "name": "Newer"})
    tenant.refresh_from_db()
    assert (tenant.slug, tenant.name) == ("new", "Newer")


# Tokens


def test_api_token__made_in_the_admin__is_shown_once_and_works(tenant):
    user = member(tenant, is_staff=True)
    client = signed_in(user)

    page = client.post(reverse("admin:builds_apitoken_add"), {"name": "laptop"})
    plain = re.search(r"mb_[\w-]{20,}", page.content.decode())[0]

    assert "no-store" in page["Cache-Control"]
    token = ApiToken.objects.get()
    assert (token.user, token.name) == (user, "laptop")
    assert plain not in str(ApiToken.objects.values().get())
    for address in ("changelist", "change"):
        arguments = [token.pk] if address == "change" else []
        assert plain not in client.get(reverse(f"admin:builds_apitoken_{address}", args=arguments)).content.decode()
    asking = client_of()
    asking.credentials(HTTP_AUTHORIZATION=f"Bearer {plain}")
    assert asking.get("/api/meta/v2/runs").status_code == 200

    client.post(reverse("admin:builds_apitoken_delete", args=[token.pk]), {"post": "yes"})
    assert asking.get("/api/meta/v2/runs").status_code == 401


def test_api_token__of_somebody_else__is_hidden_from_staff_and_revocable_by_superusers(staff, root):
    token = ApiTokenFactory()
    delete = reverse("admin:builds_apitoken_delete", args=[token.pk])
    assert staff.post(delete, {"post": "yes"}).status_code == 302
    assert ApiToken.objects.filter(pk=token.pk).exists()
    root.post(delete, {"post": "yes"})
    assert not ApiToken.objects.filter(pk=token.pk).exists()


# Failure patterns


def pattern_form(tenant, pattern, **more):
    fields = {"tenant": tenant.pk, "name": "farm", "pattern": pattern, "signal_type": "POLICY", "enabled": "on"}
    return {**fields, **more}


def test_failure_pattern__owner__adds_one_that_classification_then_uses(tenant_owner, tenant, owner):
    tenant_owner.post(reverse("admin:autofix_failurepattern_add"), pattern_form(tenant, r"^farm: no slots for \w+"))

    body = {"step_name": "build", "logs": "farm: no slots for acme\n", "tenant_id": "acme"}
    assert owner.post("/api/meta/v3/classify-failure", body, format="json").json()["type"] == "POLICY"
    event = AuditEvent.objects.get(event_type="settings.changed")
    assert event.payload["changes"]["failure_pattern"]["old"] is None
    assert event.payload["changes"]["failure_pattern"]["new"]["name"] == "farm"


@pytest.mark.parametrize(
    "pattern",
    ["(?=lookahead)", r"(a)\1", "a.{0,900}b.{0,900}c", "x*", "(unclosed", "a{2000}", "a\x07b", "y" * 501],
)
def test_failure_pattern__bad_pattern__is_refused(tenant_owner, tenant, pattern):
    page = tenant_owner.post(reverse("admin:autofix_failurepattern_add"), pattern_form(tenant, pattern))
    assert page.status_code == 200
    assert "errorlist" in page.content.decode()
    assert not FailurePattern.objects.exists()


def test_failure_pattern__developer__reads_but_does_not_edit(staff, tenant):
    pattern = FailurePatternFactory(tenant=tenant)
    address = reverse("admin:autofix_failurepattern_change", args=[pattern.pk])
    assert staff.get(address).status_code == 200
    assert staff.post(address, pattern_form(tenant, "other")).status_code == 403
    assert staff.get(reverse("admin:autofix_failurepattern_add")).status_code == 403


def test_failure_pattern__for_a_foreign_tenant__is_refused(tenant_owner):
    foreign = Tenant.objects.create(slug="far")
    page = tenant_owner.post(reverse("admin:autofix_failurepattern_add"), pattern_form(foreign, "whatever"))
    assert page.status_code == 200
    assert not FailurePattern.objects.exists()


def test_index__staff__finds_gates_runs_settings_and_api(staff, client):
    page = staff.get("/admin/").content.decode()
    names = ("approvals_approvalgate_changelist", "builds_buildrun_changelist", "builds_apitoken_add")
    for name in ("docs", *(f"admin:{name}" for name in names)):
        assert reverse(name) in page
    assert "Settings → Builder → Auto-Fix (v3)" in page
    assert client.get("/")["Location"] == "/admin/"


def test_user_admin__superuser__is_still_there(root):
    assert root.get(reverse("admin:auth_user_change", args=[User.objects.get(username="root").pk])).status_code == 200


def test_login__member_who_is_not_staff__signs_in_to_the_settings_and_out_again(client, tenant):
    user = member(tenant, Role.VIEWER, username="vera")
    user.set_password("pw-of-vera")
    user.save()
    page = reverse("settings_flags:auto-fix-tenant", args=["acme"])
    assert client.get(page)["Location"] == f"/login?next={page}"

    answer = client.post("/login", {"username": "vera", "password": "pw-of-vera", "next": page})
    assert answer["Location"] == page
    assert client.get(page).status_code == 200
    assert client.post("/logout")["Location"] == "/login"
    assert client.get(page).status_code == 302


def test_login__member_who_is_not_staff_asks_for_the_admin__is_told_and_shown_the_settings(client, tenant):
    client.force_login(member(tenant, Role.VIEWER, username="vera"))
    page = client.get("/admin/builds/buildrun/", follow=True)
    assert unquote(page.redirect_chain[-1][0]) == "/login?next=/admin/builds/buildrun/"
    assert "signed in as vera" in page.content.decode()
    assert reverse("settings_flags:auto-fix") in page.content.decode()
