"""Runs that a command has in the foreground: what becomes of them when it is killed, and whose they are afterwards."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from autofix.tasks import advance_run
from metabuilder.audit.models import AuditEvent
from metabuilder.builds import queue
from metabuilder.builds.models import BuildRun, Tenant
from metabuilder.builds.runs import request_cancel
from tests.builds.repositories import make_repository
from tests.engine import at, gated, kill_engine, start
from tests.factories import member

pytestmark = pytest.mark.django_db(transaction=True)
HANGS_ONCE = "if [ ! -e .scratch/first ]; then mkdir -p .scratch; touch .scratch/first; echo ready; sleep 60; fi"


def resume(run):
    out = StringIO()
    try:
        call_command("heal", "--resume", str(run.pk), "--json", stdout=out)
    except SystemExit as ended:
        return ended.code, json.loads(out.getvalue().splitlines()[-1])
    return 0, json.loads(out.getvalue().splitlines()[-1])


@pytest.fixture
def killed(tmp_path):
    build = start(tmp_path, [{"name": "s", "run": HANGS_ONCE}])
    kill_engine(build, at("output", text="ready\n"))
    BuildRun.objects.update(wake_at=timezone.now() - timedelta(minutes=1))
    return build


def test_killed_heal__not_cancelled__is_no_workers_but_can_be_resumed(killed):
    assert queue.requeue_lost() == []
    advance_run(str(killed.run.pk))  # a message from before
    assert killed.again().status == "running"
    assert resume(killed.run)[0] == 0
    assert killed.again().status == "succeeded"


def test_killed_heal__cancelled__ends_at_once_and_can_be_resumed(killed):
    request_cancel(killed.run, actor=killed.run.created_by)
    run = killed.again()
    assert (run.status, run.foreground) == ("cancelled", False)
    assert killed.statuses() == {"s": "pending"}
    assert killed.executions() == [("build", "lost")]
    assert resume(run)[0] == 0


def test_killed_heal__was_asked_to_cancel_while_it_lived__a_worker_ends_it(killed):
    BuildRun.objects.update(cancel_requested_at=timezone.now() - timedelta(minutes=1))
    assert queue.requeue_lost() == [killed.run.pk]
    advance_run(str(killed.run.pk))
    assert killed.again().status == "cancelled"


def test_resume__run_at_a_gate__stays_the_workers(tmp_path):
    build = gated(tmp_path, foreground=False)
    build.go()
    assert resume(build.run)[0] == 3
    assert build.again().foreground is False


def test_resume__cancelled_at_a_gate__is_asked_anew(tmp_path):
    build = gated(tmp_path)
    build.go()
    first = build.gate
    request_cancel(build.run, actor=build.run.created_by)
    first.refresh_from_db()
    assert first.status == "cancelled"
    code, report = resume(build.run)
    assert (code, report["status"], report["gates"]) == (3, "waiting_approval", [str(build.gate.pk)])
    assert build.gate != first


@pytest.fixture
def repository(tmp_path):
    return make_repository(tmp_path / "source", {"metabuilder.yaml": "name: n\nsteps:\n  - {name: s, run: 'true'}\n"})


@pytest.mark.parametrize("command", ["start_run", "heal"])
def test_commands__as_a_viewer__are_refused_and_store_nothing(repository, command):
    member(Tenant.objects.create(slug="acme", name="Acme"), "viewer", username="vic")
    with pytest.raises(CommandError, match="role is viewer"):
        call_command(command, str(repository), "--tenant", "acme", "--as", "vic", stdout=StringIO())
    assert not BuildRun.objects.exists()


def test_retry_run__as_a_viewer__is_refused(repository):
    tenant = Tenant.objects.create(slug="acme", name="Acme")
    member(tenant, "developer", username="dan")
    member(tenant, "viewer", username="vic")
    call_command("start_run", str(repository), "--tenant", "acme", "--as", "dan", stdout=StringIO())
    run = BuildRun.objects.get()
    event = AuditEvent.objects.get(event_type="run.created")
    assert (event.actor_name, bool(event.payload["os_user"])) == ("dan", True)
    BuildRun.objects.update(status="failed")
    with pytest.raises(CommandError, match="role is viewer"):
        call_command("retry_run", str(run.pk), "--as", "vic", stdout=StringIO())
    call_command("retry_run", str(run.pk), "--as", "dan", stdout=StringIO())
    assert AuditEvent.objects.get(event_type="run.retried").payload["os_user"]
