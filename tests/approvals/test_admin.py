import pytest
from django.contrib.auth.models import User
from django_q.models import OrmQ

from approvals.models import ApprovalDecision, ApprovalGate
from metabuilder.audit.models import AuditEvent
from metabuilder.builds.models import Tenant
from tests.approvals.conftest import make_gate, member

LIST = "/admin/approvals/approvalgate/"


def page_of(gate):
    return f"{LIST}{gate.pk}/change/"


def decide(client, gate, verdict, comment=""):
    return client.post(f"{LIST}{gate.pk}/decide/", {"verdict": verdict, "comment": comment}, follow=True)


def act(client, action, *gates, **more):
    chosen = {"action": action, "_selected_action": [str(gate.pk) for gate in gates]}
    return client.post(LIST, chosen | more, follow=True)


def state_of(gate):
    return ApprovalGate.objects.get(pk=gate.pk).status


@pytest.fixture
def as_owner(client, owner):
    client.force_login(owner)
    return client


def test_gate_page__owner_without_django_permissions__shows_question_evidence_and_diff(as_owner, gate):
    assert gate.title in as_owner.get(LIST).content.decode()
    assert "/admin/approvals/approvalgate/" in as_owner.get("/admin/").content.decode()
    page = as_owner.get(page_of(gate)).content.decode()
    assert "1 test failed" in page
    assert "assert 1 == 2" in page
    assert '<span class="diff-removed">-import &lt;os&gt;</span>' in page
    assert '<span class="diff-added">+import sys</span>' in page
    assert "abc123" in page
    assert 'value="approve"' in page


def test_gate_page__text_of_a_log__is_escaped(as_owner, tenant):
    gate = make_gate(tenant, title="<script>t()</script>", summary="<script>s()</script>", commands=["<script>c()"])
    assert "<script>t()" not in as_owner.get(LIST).content.decode()
    page = as_owner.get(page_of(gate)).content.decode()
    for hostile in ("<script>t()", "<script>s()", "<script>c()"):
        assert hostile not in page


def test_gate_page__approved_on_its_form__is_approved_and_wakes_the_run(as_owner, gate, owner):
    page = decide(as_owner, gate, "approve", "fine").content.decode()
    assert state_of(gate) == "approved"
    assert (gate.decisions.get().actor, gate.decisions.get().comment) == (owner, "fine")
    assert OrmQ.objects.count() == 1
    assert "approved by olga: fine" in page
    assert "No worker is alive" in page
    assert 'value="approve"' not in page


def test_gate_page__rejected_without_a_reason__stays_open(as_owner, gate):
    assert "needs a reason" in decide(as_owner, gate, "reject").content.decode()
    assert state_of(gate) == "pending"
    decide(as_owner, gate, "reject", "too risky")
    assert state_of(gate) == "rejected"


def test_gate_page__decided_meanwhile__says_so_and_changes_nothing(as_owner, gate):
    decide(as_owner, gate, "approve")
    assert "already approved" in decide(as_owner, gate, "reject", "late").content.decode()
    assert state_of(gate) == "approved"
    assert ApprovalDecision.objects.count() == 1


def test_gate_page__own_request__is_refused_with_the_reason(as_owner, owner, tenant):
    gate = make_gate(tenant, requested_by=owner)
    assert "You asked for this yourself" in as_owner.get(page_of(gate)).content.decode()
    assert "was asked for by you" in decide(as_owner, gate, "approve").content.decode()
    assert state_of(gate) == "pending"


def test_actions__several_gates__approve_each_that_still_waits(as_owner, tenant):
    first, second = make_gate(tenant, title="First"), make_gate(tenant, title="Second")
    decide(as_owner, first, "reject", "no")
    page = act(as_owner, "approve_selected", first, second).content.decode()
    assert (state_of(first), state_of(second)) == ("rejected", "approved")
    assert "already rejected" in page


def test_actions__reject__asks_for_a_reason_first(as_owner, tenant):
    gates = make_gate(tenant), make_gate(tenant)
    assert "Reason" in act(as_owner, "reject_selected", *gates).content.decode()
    assert "This field is required" in act(as_owner, "reject_selected", *gates, confirmed="yes").content.decode()
    assert {state_of(gate) for gate in gates} == {"pending"}
    act(as_owner, "reject_selected", *gates, confirmed="yes", comment="not now")
    assert {state_of(gate) for gate in gates} == {"rejected"}
    assert set(ApprovalDecision.objects.values_list("comment", flat=True)) == {"not now"}


@pytest.mark.parametrize("role", ["viewer", "developer"])
def test_member_who_may_not_decide__reads_but_does_not_decide(client, tenant, gate, role):
    client.force_login(member("vic", tenant, role, is_staff=True))
    page = client.get(page_of(gate)).content.decode()
    assert gate.title in page
    assert 'value="approve"' not in page
    assert "approve_selected" not in client.get(LIST).content.decode()
    decide(client, gate, "approve")
    decide(client, gate, "reject", "no")
    act(client, "approve_selected", gate)
    act(client, "reject_selected", gate, confirmed="yes", comment="no")
    assert state_of(gate) == "pending"
    assert not AuditEvent.objects.exists()


def test_owner_of_another_tenant__neither_sees_nor_decides(client, gate):
    other = Tenant.objects.create(slug="other", name="Other")
    client.force_login(member("mallory", other, "owner", is_staff=True))
    assert gate.title not in client.get(LIST).content.decode()
    assert gate.title not in client.get(page_of(gate), follow=True).content.decode()
    assert decide(client, gate, "approve").status_code == 404
    act(client, "approve_selected", gate)
    act(client, "reject_selected", gate, confirmed="yes", comment="no")
    assert state_of(gate) == "pending"
    assert not AuditEvent.objects.exists()


def test_superuser_without_a_role_in_the_tenant__reads_but_does_not_decide(client, gate):
    other = Tenant.objects.create(slug="other", name="Other")
    client.force_login(member("root", other, "owner", is_staff=True, is_superuser=True))
    assert gate.title in client.get(LIST).content.decode()
    page = client.get(page_of(gate)).content.decode()
    assert gate.title in page
    assert 'value="approve"' not in page
    decide(client, gate, "approve")
    decide(client, gate, "reject", "no")
    act(client, "approve_selected", gate)
    act(client, "reject_selected", gate, confirmed="yes", comment="no")
    assert state_of(gate) == "pending"
    assert not gate.decisions.exists()


def test_owner_without_staff_access__is_sent_to_the_login(client, tenant, gate):
    client.force_login(member("norma", tenant, "owner"))
    assert client.get(page_of(gate)).status_code == 302
    assert client.post(f"{LIST}{gate.pk}/decide/", {"verdict": "approve"}).status_code == 302
    assert state_of(gate) == "pending"


def test_staff_without_a_tenant__sees_no_approvals_and_no_runs(client, gate):
    client.force_login(User.objects.create(username="clerk", is_staff=True))
    assert client.get(LIST).status_code == 403
    assert client.get("/admin/builds/buildrun/").status_code == 403
    assert "approvalgate" not in client.get("/admin/").content.decode()


def test_gate_page__get_on_the_decision_url__decides_nothing(as_owner, gate):
    assert as_owner.get(f"{LIST}{gate.pk}/decide/").status_code == 405
    assert state_of(gate) == "pending"


@pytest.mark.parametrize("superuser", [False, True])
def test_rows__edited_or_deleted_by_hand__are_refused(client, tenant, gate, superuser):
    boss = member("boss", tenant, "owner", is_staff=True, is_superuser=superuser)
    client.force_login(boss)
    decide(client, gate, "approve")
    decision = gate.decisions.get()
    for url in (f"{LIST}{gate.pk}/", f"/admin/approvals/approvaldecision/{decision.pk}/"):
        assert client.post(f"{url}change/", {"status": "pending", "comment": "x"}).status_code == 403
        assert client.post(f"{url}delete/", {"post": "yes"}).status_code == 403
    assert client.get("/admin/approvals/approvalgate/add/").status_code == 403
    assert client.get("/admin/approvals/approvaldecision/").status_code == 200
    assert state_of(gate) == "approved"


def test_decision_page__posted_without_its_csrf_token__is_refused(owner, gate):
    from django.test import Client

    strict = Client(enforce_csrf_checks=True)
    strict.force_login(owner)
    assert strict.post(f"{LIST}{gate.pk}/decide/", {"verdict": "approve"}).status_code == 403
    assert state_of(gate) == "pending"


def test_gate_page__evidence__is_in_the_order_of_the_log(as_owner, gate):
    lines = [{"number": 30, "text": "1 failed"}, {"number": 4, "text": "assert 1 == 2"}, "no number"]
    ApprovalGate.objects.filter(pk=gate.pk).update(evidence=lines)
    page = as_owner.get(page_of(gate)).content.decode()
    assert page.index("no number") < page.index("assert 1 == 2") < page.index("1 failed</pre>")
