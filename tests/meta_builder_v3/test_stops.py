"""What stops a run, and how it is tried again by hand."""

from __future__ import annotations

import pytest
from django.utils import timezone
from django_q.models import OrmQ

from autofix import orchestrator
from autofix.decision import Strategy
from autofix.failures import FailureType
from autofix.fixers.base import Proposal
from autofix.models import RetryState
from autofix.replanning import with_install_step
from metabuilder.builds.models import BuildRun
from metabuilder.builds.runs import request_cancel, retry_run
from settings_flags.services import engage_kill_switch, set_run_settings
from tests.builds.repositories import listing
from tests.engine import (
    ASSERTION,
    CUT_OFF,
    FINDING,
    RUFF,
    UNUSED_IMPORT,
    Editing,
    Told,
    cancelling,
    events,
    fails_times,
    gated,
    plug_in,
    proposing,
    says,
    start,
)

pytestmark = pytest.mark.django_db(transaction=True)


def test_stop__auto_fix_off__fails_as_under_v2(tmp_path):
    build = start(tmp_path, [{"name": "make", "run": "echo 1 > made"}, {"name": "s", "run": says(CUT_OFF)}], hold=True)
    set_run_settings(build.run, {"auto_fix_enabled": False}, actor=None)
    BuildRun.objects.update(hold=False)
    run = build.go()
    assert (run.status, run.outcome) == ("failed", "gave_up")
    assert build.outcomes() == [("TRANSIENT", "GIVE_UP", "gave_up")]
    assert build.files() == listing(build.source, skip=(".git",))


def test_stop__kill_switch__gives_up_at_once(tmp_path):
    build = start(tmp_path, [{"name": "s", "run": says(CUT_OFF)}])
    engage_kill_switch(None, reason="incident", actor=None)
    run = build.go()
    assert (run.status, run.outcome) == ("failed", "gave_up")
    assert "kill switch" in run.result_note


def test_stop__kill_switch_engaged_at_a_gate__wins_over_the_approval(tmp_path, monkeypatch):
    build = proposing(tmp_path, monkeypatch)
    build.go()
    build.approve()
    engage_kill_switch(build.run.tenant, reason="incident", actor=None)
    run = build.go()
    assert (run.status, run.outcome) == ("failed", "gave_up")
    assert "kill switch" in run.result_note
    assert run.head_commit == run.base_commit


def test_stop__deadline_in_a_step__ends_it_and_the_run(tmp_path):
    build = start(tmp_path, [{"name": "s", "run": "sleep 60"}], hold=True)
    set_run_settings(build.run, {"run_deadline_seconds": 1}, actor=None)
    BuildRun.objects.update(hold=False)
    run = build.go()
    assert (run.status, run.outcome) == ("failed", "gave_up")
    assert "deadline" in run.result_note
    assert build.statuses() == {"s": "failed"}
    assert build.executions() == [("build", "killed")]


def test_stop__deadline_in_a_retry__leaves_no_attempt_pending(tmp_path):
    build = start(tmp_path, [{"name": "s", "run": fails_times(1, CUT_OFF) + "; sleep 60"}], hold=True)
    set_run_settings(build.run, {"run_deadline_seconds": 1}, actor=None)
    BuildRun.objects.update(hold=False)
    assert build.go().status == "failed"
    assert build.outcomes() == [("TRANSIENT", "RETRY", "superseded")]


def test_stop__deadline_in_a_foreground_backoff__fails_as_a_deadline(tmp_path):
    build = start(tmp_path, [{"name": "s", "run": says(CUT_OFF), "retry": {"TRANSIENT": {"base_delay": 2}}}])

    class Late(Told):
        def tell(self, event, /, **facts):
            if event == "waiting":
                BuildRun.objects.update(deadline_at=timezone.now())

    run = build.go(progress=Late())
    assert (run.status, run.outcome) == ("failed", "gave_up")
    assert "deadline" in run.result_note


def test_stop__cancelled_while_a_step_runs__its_processes_are_gone(tmp_path):
    pids = tmp_path / "pids"
    build = start(tmp_path, [{"name": "s", "run": f"sleep 61 & echo $! > {pids}; echo ready; sleep 62"}])
    run = build.go(progress=cancelling(build))
    assert (run.status, run.outcome) == ("cancelled", "")
    assert build.statuses() == {"s": "pending"}
    assert build.outcomes() == []
    with pytest.raises(ProcessLookupError):
        __import__("os").kill(int(pids.read_text()), 0)
    assert events(build, "run.cancelled").count() == 1


def test_stop__cancelled_in_a_trial__the_candidate_is_put_back(tmp_path, monkeypatch):
    def edit(bench, failure):
        (bench.root / "app.py").write_text("x = 2\n")
        (bench.root / ".scratch/new").write_text("x")
        bench.run("echo ready; sleep 60")
        yield Proposal(summary="never")

    plug_in(monkeypatch, Editing(edit))
    build = start(tmp_path, [{"name": "s", "run": fails_times(9, FINDING), "kind": "lint"}])
    run = build.go(progress=cancelling(build))
    assert run.status == "cancelled"
    assert (build.root / "app.py").read_text() == "x = 1\n"
    assert not (build.root / ".scratch/new").exists()
    assert (build.root / ".scratch/count").exists()
    assert build.outcomes() == [("LINT", "PATCH", "superseded")]


def test_stop__cancelled_while_the_holder_opens_a_gate__is_cancelled_by_the_next_holder(tmp_path):
    build = gated(tmp_path)

    class Canceller(Told):
        def tell(self, event, /, **facts):
            if event == "decided":
                request_cancel(BuildRun.objects.get(pk=build.run.pk), actor=None)

    run = build.go(progress=Canceller())
    if run.status == "waiting_approval":  # the wish came too late for this holder
        run = build.go()
    assert run.status == "cancelled"


def test_hold__run_is_held__nothing_happens_until_it_is_released(tmp_path):
    build = start(tmp_path, [{"name": "s", "run": "true"}], foreground=False, hold=True)
    assert not OrmQ.objects.exists()
    assert build.go().status == "queued"
    BuildRun.objects.update(hold=False)
    assert build.go().status == "succeeded"


def test_hand_over__after_its_share__a_new_message_goes_on(tmp_path, monkeypatch):
    build = start(tmp_path, [{"name": "a", "run": "true"}, {"name": "b", "run": "true"}], foreground=False)
    OrmQ.objects.all().delete()
    monkeypatch.setattr(orchestrator, "HAND_OVER_AFTER_SECONDS", -1)
    run = build.go(wait=False)
    assert (run.status, run.lease_expires_at, OrmQ.objects.count()) == ("running", None, 1)
    monkeypatch.undo()
    assert build.go(wait=False).status == "succeeded"


# Trying again by hand


def test_retry_run__after_a_rollback__starts_the_next_iteration_with_fresh_budgets(tmp_path):
    build = start(tmp_path, [{"name": "test", "kind": "test", "run": fails_times(2, ASSERTION)}])
    assert build.go().status == "rolled_back"
    retry_run(build.run, actor=build.run.created_by, foreground=True)
    run = build.go()
    assert (run.status, run.outcome, run.iteration) == ("succeeded", "clean", 2)
    state = RetryState.objects.get(run=run)
    assert (state.attempt_counter, state.total_attempts, state.per_step_attempts) == (1, 0, {})
    assert [a.iteration for a in build.attempts] == [1, 1]
    assert events(build, "run.retried").get().payload["iteration"] == 2


def test_retry_run__after_a_re_plan_was_rolled_back__ends(tmp_path, monkeypatch):
    def install(bench, failure):
        yield Proposal(
            summary="Install it",
            plan=with_install_step(failure.plan, "python3 -m venv --without-pip .venv", before="use"),
        )

    plug_in(monkeypatch, Editing(install, types={FailureType.INFRA}, strategy=Strategy.REPLAN))
    missing = says("bash: line 1: frobnicate: command not found", 127)
    build = start(
        tmp_path,
        [
            {"name": "use", "run": f"test -e .venv/bin/python3 || {{ {missing}; }}"},
            {"name": "test", "kind": "test", "run": fails_times(2, ASSERTION)},
        ],
    )
    assert build.go().status == "rolled_back"
    retry_run(build.run, actor=None, foreground=True)
    run = build.go()
    assert (run.status, run.plan.parent) == ("succeeded", None)
    assert build.statuses() == {"install-more": "skipped", "use": "succeeded", "test": "succeeded"}


def test_retry_run__cancelled_in_a_backoff__the_old_attempt_does_not_count_again(tmp_path):
    retry = {"TRANSIENT": {"base_delay": 30}}
    build = start(tmp_path, [{"name": "s", "run": fails_times(1, CUT_OFF), "retry": retry}], foreground=False)
    assert build.go(wait=False).status == "waiting_retry"
    request_cancel(build.run, actor=None)
    retry_run(build.run, actor=None)
    run = build.go(wait=False)
    assert (run.status, run.outcome) == ("succeeded", "clean")
    assert build.outcomes() == [("TRANSIENT", "RETRY", "superseded")]
    assert build.executions() == [("build", "exited"), ("build", "exited")]


def test_retry_run__cancelled_with_a_fix_on_the_branch__starts_from_the_base(tmp_path):
    steps = [
        {"name": "lint", "kind": "lint", "run": f"{RUFF} check ."},
        {"name": "s", "run": "test -e .scratch/go || { echo ready; sleep 60; }"},
    ]
    build = start(tmp_path, steps, {"app.py": UNUSED_IMPORT})
    assert build.go(progress=cancelling(build)).status == "cancelled"
    (build.root / ".scratch").mkdir()
    (build.root / ".scratch/go").touch()
    retry_run(build.run, actor=None, foreground=True)
    run = build.go()
    assert (run.status, run.outcome) == ("succeeded", "healed")
    assert build.outcomes() == [("LINT", "PATCH", "succeeded")] * 2
    assert len(build.workspace.fixes()) == 1
