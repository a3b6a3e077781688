import getpass
import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from django_q.models import OrmQ

from approvals import services
from approvals.models import ApprovalGate
from metabuilder.audit.models import AuditEvent
from metabuilder.builds.accounts import local_user
from metabuilder.builds.models import Tenant, WorkerHeartbeat
from tests.approvals.conftest import make_gate, member


def run(*args):
    out = StringIO()
    call_command("gates", *args, stdout=out, stderr=StringIO())
    return out.getvalue()


@pytest.fixture
def local_gate(db):
    tenant, user = local_user()
    return make_gate(tenant, requested_by=user)


@pytest.fixture
def foreground(monkeypatch):
    """Record which runs would be advanced in this process; the real runner belongs to the app above."""
    runs = []
    monkeypatch.setattr(services, "_foreground_runner", None)
    services.set_foreground_runner(lambda run_id, stdout: runs.append(run_id))
    return runs


def test_gates_list__one_waits__names_it_and_nothing_of_other_tenants(local_gate, tenant):
    foreign = make_gate(tenant, title="Not yours")
    out = run("list")
    assert str(local_gate.pk)[:8] in out
    assert "Apply a patch?" in out
    assert str(foreign.pk)[:8] not in out
    assert [gate["id"] for gate in json.loads(run("list", "--json"))["gates"]] == [str(local_gate.pk)]


def test_gates_list__none_waits__says_so(db):
    assert run("list") == "No gate waits for a decision.\n"


def test_gates_show__pending__says_what_failed_and_what_exactly_happens(local_gate):
    out = run("show", str(local_gate.pk)[:8])
    for part in (
        "1 test failed",
        "    12  E   assert 1 == 2",
        "step test: pytest -q",
        f"asked for by {getpass.getuser()}",
        "Base commit: abc123",
        "+import sys",
        f"gates reject {str(local_gate.pk)[:8]} --reason TEXT",
    ):
        assert part in out
    assert json.loads(run("show", str(local_gate.pk), "--json"))["action"] == local_gate.action


def test_gates_show__text_with_terminal_escapes__is_written_out(db):
    tenant, _ = local_user()
    patch = "diff --git a/a b/a\n@@ -1 +1 @@\n+evil\x1b[2K\r+harmless \u202e\n"
    gate = make_gate(tenant, title="t\x1b]0;x\x07", patch=patch, summary="s\x9b1m", commands=["c\x1bc"])
    out = run("show", str(gate.pk)) + run("list")
    assert not {"\x1b", "\x07", "\x9b", "\r", "\u202e"} & set(out)
    assert r"+evil\x1b[2K\x0d+harmless \u202e" in out


def test_gates_approve__no_worker_alive__is_decided_and_performed_here(local_gate, foreground):
    out = run("approve", str(local_gate.pk)[:10], "--comment", "ok")
    assert f"Gate {local_gate.pk} is approved." in out
    assert foreground == [local_gate.run_id]
    event = AuditEvent.objects.get(event_type="approval.granted")
    assert event.actor_name == getpass.getuser()
    assert event.payload["self_approval"] is True


def test_gates_approve__worker_alive__is_left_to_it(local_gate, foreground):
    WorkerHeartbeat.objects.create(name="host:1", started_at=timezone.now(), seen_at=timezone.now())
    assert "A worker carries it out." in run("approve", str(local_gate.pk))
    assert foreground == []
    assert OrmQ.objects.count() == 1


def test_gates_approve__json__prints_one_object(local_gate, foreground):
    answer = json.loads(run("approve", str(local_gate.pk), "--json"))
    assert (answer["status"], answer["performed"]) == ("approved", True)


def test_gates_reject__without_a_reason__is_refused(local_gate, foreground):
    with pytest.raises(CommandError, match="needs a reason"):
        run("reject", str(local_gate.pk))
    assert ApprovalGate.objects.get().status == "pending"
    assert foreground == []


def test_gates_reject__with_a_reason__is_rejected_and_performed_here(local_gate, foreground):
    run("reject", str(local_gate.pk), "--reason", "no")
    assert ApprovalGate.objects.get().status == "rejected"
    assert foreground == [local_gate.run_id]
    assert "rejected by" in run("show", str(local_gate.pk))


def test_gates_approve__as_somebody_of_the_tenant__decides_as_them(tenant, owner, gate, foreground):
    run("approve", str(gate.pk), "--as", "olga")
    assert gate.decisions.get().actor == owner


def test_gates_approve__as_a_viewer__is_refused(tenant, gate, foreground):
    member("vic", tenant, "viewer")
    with pytest.raises(CommandError, match="your role is viewer"):
        run("approve", str(gate.pk), "--as", "vic")
    assert ApprovalGate.objects.get().status == "pending"


def test_gates_approve__gate_of_another_tenant__is_not_found(gate, foreground):
    with pytest.raises(CommandError, match="no gate"):
        run("approve", str(gate.pk))
    assert ApprovalGate.objects.get().status == "pending"


def test_gates_show__beginning_of_several_ids__asks_for_more(db):
    tenant, _ = local_user()
    for last in (1, 2):
        gate = make_gate(tenant)
        ApprovalGate.objects.filter(pk=gate.pk).update(id=f"abcdef00-0000-4000-8000-00000000000{last}")
    with pytest.raises(CommandError, match="several"):
        run("show", "abcdef")
    assert "abcdef00-0000-4000-8000-000000000002" in run("show", "abcdef00-0000-4000-8000-000000000002")


@pytest.mark.parametrize("text", ["", "xyz", "-", "a" * 33, "zz-1"])
def test_gates_show__no_id__is_refused(db, text):
    with pytest.raises(CommandError, match="is no gate id"):
        run("show", "--", text)


def test_gates__unknown_user__is_refused(db):
    Tenant.objects.create(slug="acme", name="Acme")
    with pytest.raises(CommandError, match="no user 'nobody-here'"):
        run("list", "--as", "nobody-here")
