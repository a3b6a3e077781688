"""Runs that wait for people: what they are asked, and what is done with their answer."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from django.utils import timezone
from django_q.models import OrmQ

from approvals.errors import GateVoid
from approvals.services import expire_due
from autofix.models import RetryState
from metabuilder.builds.models import BuildRun
from settings_flags.services import set_tenant_settings
from tests.builds.repositories import git
from tests.engine import (
    LEAK,
    Editing,
    events,
    gated,
    plug_in,
    proposing,
    says,
    start,
    writes,
)

pytestmark = pytest.mark.django_db(transaction=True)


def test_gate__security__waits_and_frees_the_worker(tmp_path):
    build = gated(tmp_path)
    run = build.go()
    assert (run.status, run.outcome, run.lease_expires_at) == ("waiting_approval", "escalated", None)
    assert build.outcomes() == [("SECURITY", "ESCALATE", "escalated")]
    assert (build.gate.status, build.gate.kind, build.gate.action["type"]) == ("pending", "security", "retry")
    assert events(build, "autofix.escalated").count() == 1
    assert RetryState.objects.get().total_attempts == 0
    assert build.go().status == "waiting_approval"  # a stray message changes nothing


def test_gate__approved__resumes_and_finishes(tmp_path):
    build = gated(tmp_path)
    build.go()
    (build.root / ".scratch").mkdir()
    (build.root / ".scratch/fine").touch()
    build.approve()
    assert OrmQ.objects.exists()
    assert build.go().status == "succeeded"


def test_gate__rejected__rolls_back(tmp_path):
    build = gated(tmp_path)
    build.go()
    build.reject("we rotate it first")
    run = build.go()
    assert (run.status, run.outcome) == ("rolled_back", "rolled_back")
    assert "we rotate it first" in run.result_note
    assert build.outcomes() == [("SECURITY", "ESCALATE", "rejected")]


def test_gate__expired__rolls_back(tmp_path):
    build = gated(tmp_path)
    build.go()
    assert expire_due(timezone.now() + timedelta(days=4)) == 1
    assert build.go().status == "rolled_back"
    assert build.outcomes() == [("SECURITY", "ESCALATE", "rolled_back")]


def test_gate__settings_that_govern_it_change__is_void_and_asked_again(tmp_path):
    build = gated(tmp_path)
    build.go()
    first = build.gate
    set_tenant_settings(build.run.tenant, {"autonomy": "propose"}, actor=None)
    with pytest.raises(GateVoid):
        build.approve()
    assert build.go().status == "waiting_approval"
    assert build.gate != first
    assert build.gate.status == "pending"


def test_gate__fix_breaks_a_guard_rule__is_shown_and_applied_exactly_on_approval(tmp_path, monkeypatch):
    build = proposing(tmp_path, monkeypatch)
    run = build.go()
    assert (run.status, build.gate.kind, build.gate.action["type"]) == ("waiting_approval", "patch", "apply_patch")
    assert "+* @team" in build.gate.action["patch"]
    assert run.head_commit == run.base_commit
    assert (build.root / "CODEOWNERS").read_text() == ""

    build.approve()
    run = build.go()
    assert (run.status, run.outcome) == ("succeeded", "healed")
    assert git(build.workspace.places.git_dir, "show", f"{run.head_commit}:CODEOWNERS") == "* @team"
    assert (build.root / "CODEOWNERS").read_text() == "* @team\n"
    assert (build.root / "made.txt").exists()
    assert build.outcomes() == [("LINT", "PATCH", "succeeded")]


def test_gate__approved_candidate_turns_out_to_break_a_guard_rule__is_asked_again_with_the_diff(tmp_path, monkeypatch):
    build = proposing(tmp_path, monkeypatch, gate_reason="it is bold")
    build.go()
    assert build.gate.action["type"] == "try_candidate"
    build.approve()
    run = build.go()
    assert run.status == "waiting_approval"
    assert build.gate.action["type"] == "apply_patch"
    assert run.head_commit == run.base_commit
    build.approve()
    assert build.go().outcome == "healed"
    assert (build.root / "CODEOWNERS").read_text() == "* @team\n"


def test_gate__approved_fix_no_longer_works__fails_and_is_not_offered_again(tmp_path, monkeypatch):
    edit = writes("app.py", "x = 2\n")
    build = proposing(tmp_path, monkeypatch, edit, gate_reason="it is bold")
    build.go()
    build.approve()
    assert build.go().status == "waiting_approval"
    assert build.gate.action["type"] == "retry"
    assert build.outcomes()[0] == ("LINT", "ESCALATE", "failed")
    assert (build.root / "app.py").read_text() == "x = 1\n"


def test_gate__decided_after_the_deadline__the_time_at_the_gate_does_not_count(tmp_path):
    build = gated(tmp_path)
    build.go()
    (build.root / ".scratch").mkdir()
    (build.root / ".scratch/fine").touch()
    BuildRun.objects.update(deadline_at=timezone.now() + timedelta(seconds=0.3))
    time.sleep(0.4)
    build.approve()
    assert build.go().status == "succeeded"


def test_gate__rejected_after_the_deadline__still_runs_the_rollback_commands(tmp_path):
    log = tmp_path / "log"
    build = start(
        tmp_path,
        [
            {"name": "up", "run": "true", "rollback": f"echo down >> {log}"},
            {"name": "scan", "kind": "security", "run": says(LEAK)},
        ],
    )
    build.go()
    BuildRun.objects.update(deadline_at=timezone.now() - timedelta(seconds=1))
    build.reject()
    assert build.go().status == "rolled_back"
    assert log.read_text() == "down\n"


def test_gate__patch_adds_a_package_nobody_vouches_for__is_asked_about_before_it_is_installed(tmp_path, monkeypatch):
    marker = tmp_path / "installed"
    install = {
        "name": "install",
        "kind": "install",
        "run": f"grep -q stranger requirements.txt && touch {marker}; true",
    }
    test = {"name": "test", "kind": "test", "run": "echo \"ModuleNotFoundError: No module named 'stranger'\"; exit 1"}
    fixer = Editing(writes("requirements.txt", "six\nstranger==1.0\n", rebuild=True))
    plug_in(monkeypatch, fixer)
    build = start(tmp_path, [install, test], {"requirements.txt": "six\n"})

    run = build.go()

    assert (run.status, build.gate.action["type"]) == ("waiting_approval", "apply_patch")
    assert "stranger" in build.gate.action["patch"]
    assert "not proven" in build.gate.action["label"]
    assert not marker.exists()
