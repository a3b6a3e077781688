"""Whole runs through the engine: real git, real processes, a real database."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone
from django_q.models import OrmQ

from approvals.errors import GateVoid
from approvals.services import expire_due
from autofix import orchestrator
from autofix.decision import Strategy
from autofix.failures import FailureType
from autofix.fixers.base import Proposal
from autofix.models import FixTrial, PlanDelta, RetryState
from autofix.replanning import with_install_step
from metabuilder.audit.models import AuditEvent
from metabuilder.builds.models import BuildRun, StepExecution
from metabuilder.builds.runs import request_cancel, retry_run
from settings_flags.services import engage_kill_switch, set_run_settings, set_tenant_settings
from tests.builds.repositories import git, listing
from tests.engine import (
    ASSERTION,
    CUT_OFF,
    LEAK,
    RUFF,
    Editing,
    Told,
    fails_times,
    plug_in,
    says,
    start,
    writes,
)

pytestmark = pytest.mark.django_db(transaction=True)
FINDING = "app.py:1:8: F401 [*] `os` imported but unused\nFound 1 error.\n[*] 1 fixable with the `--fix` option."
UNUSED_IMPORT = "import os\n\nx = 1\n"


def events(build, kind):
    return AuditEvent.objects.filter(event_type=kind, subject_id=str(build.run.pk)).order_by("seq")


# Clean, retried, spent


def test_advance__every_step_passes__is_clean_and_the_source_untouched(tmp_path):
    build = start(tmp_path, [{"name": "make", "run": "echo made > made.txt"}, {"name": "see", "run": "cat made.txt"}])
    before = listing(build.source)
    run = build.go()
    assert (run.status, run.outcome, run.first_signal) == ("succeeded", "clean", None)
    assert run.head_commit == run.base_commit == git(build.source, "rev-parse", "HEAD")
    assert build.executions() == [("build", "exited"), ("build", "exited")]
    assert (run.lease_expires_at, run.lease_owner) == (None, "")
    assert listing(build.source) == before


def test_advance__transient_failure__is_retried_with_growing_backoff(tmp_path):
    retry = {"TRANSIENT": {"base_delay": 0.1}}
    build = start(tmp_path, [{"name": "fetch", "run": fails_times(2, CUT_OFF), "retry": retry}])
    run = build.go()
    assert (run.status, run.outcome) == ("succeeded", "healed")
    assert run.first_signal["type"] == "TRANSIENT"
    assert build.outcomes() == [("TRANSIENT", "RETRY", "failed"), ("TRANSIENT", "RETRY", "succeeded")]
    first, second = build.attempts
    assert (first.attempt, second.attempt) == (1, 2)
    assert 0.05 <= first.backoff <= 0.1 <= second.backoff <= 0.2
    executions = list(StepExecution.objects.order_by("number"))
    waits = [b.started_at - a.finished_at for a, b in zip(executions, executions[1:], strict=False)]
    assert [w.total_seconds() >= a.backoff for w, a in zip(waits, build.attempts, strict=True)] == [True, True]
    state = RetryState.objects.get(run=run)
    assert (state.attempt_counter, state.total_attempts, state.per_step_attempts) == (2, 2, {"fetch": 2})
    assert state.last_backoff_seconds == second.backoff


def test_advance__in_the_background__a_backoff_frees_the_worker_and_leaves_a_due_message(tmp_path):
    retry = {"TRANSIENT": {"base_delay": 0.4}}
    build = start(tmp_path, [{"name": "fetch", "run": fails_times(1, CUT_OFF), "retry": retry}], foreground=False)
    OrmQ.objects.all().delete()
    run = build.go(wait=False)
    assert (run.status, run.lease_expires_at) == ("waiting_retry", None)
    message = OrmQ.objects.get()
    assert (run.wake_message, run.wake_at) == (message.pk, message.lock)
    assert build.go(wait=False).status == "waiting_retry"  # delivered too early: nothing happens
    time.sleep(max(0, (run.wake_at - timezone.now()).total_seconds()))
    assert build.go(wait=False).status == "succeeded"


def test_advance__server_says_when__the_wait_is_never_shortened(tmp_path):
    text = "HTTP/1.1 429 Too Many Requests\nRetry-After: 1"
    build = start(tmp_path, [{"name": "fetch", "run": fails_times(1, text)}])
    assert build.go().outcome == "healed"
    (attempt,) = build.attempts
    assert (attempt.signal_type, attempt.strategy) == ("RATE_LIMIT", "RETRY")
    assert attempt.backoff >= 1
    assert attempt.decision["server_told"] is True


def test_advance__never_passes__spends_its_retries_and_no_more(tmp_path):
    build = start(tmp_path, [{"name": "fetch", "run": says(CUT_OFF)}])
    run = build.go()
    assert (run.status, run.outcome) == ("waiting_approval", "escalated")
    assert build.outcomes() == [("TRANSIENT", "RETRY", "failed")] * 3 + [("TRANSIENT", "ESCALATE", "escalated")]
    assert len(build.executions()) == 4
    state = RetryState.objects.get(run=run)
    assert (state.total_attempts, state.per_step_attempts) == (3, {"fetch": 3})


@pytest.mark.parametrize(("setting", "allowed"), [("max_total_attempts", 2), ("max_per_step_attempts", 1)])
def test_advance__budget_lower_than_retries__is_never_exceeded(tmp_path, setting, allowed):
    build = start(tmp_path, [{"name": "fetch", "run": says(CUT_OFF)}], hold=True)
    set_run_settings(build.run, {setting: allowed}, actor=None)
    BuildRun.objects.update(hold=False)
    build.go()
    state = RetryState.objects.get()
    assert getattr(state, setting) == state.total_attempts == allowed
    assert len(build.executions()) == allowed + 1


def test_advance__budget_of_the_run_used_by_another_step__counts(tmp_path):
    steps = [{"name": "a", "run": fails_times(2, CUT_OFF, name="a")}, {"name": "b", "run": says(CUT_OFF)}]
    build = start(tmp_path, steps, hold=True)
    set_run_settings(build.run, {"max_total_attempts": 3}, actor=None)
    BuildRun.objects.update(hold=False)
    assert build.go().status == "waiting_approval"
    assert RetryState.objects.get().per_step_attempts == {"a": 2, "b": 1}


# Fixed, re-planned, taken back


def test_advance__lint_failure__is_fixed_proven_and_committed(tmp_path):
    steps = [
        {"name": "gen", "run": "echo 'y = 2' > generated.py"},
        {"name": "lint", "kind": "lint", "run": f"{RUFF} check ."},
    ]
    build = start(tmp_path, steps, {"app.py": UNUSED_IMPORT})
    before = listing(build.source)
    run = build.go()
    assert (run.status, run.outcome) == ("succeeded", "healed")
    assert build.outcomes() == [("LINT", "PATCH", "succeeded")]
    repository = build.workspace.places.git_dir
    assert run.head_commit == git(repository, "rev-parse", f"refs/heads/{run.branch}") == build.attempts[0].fix_commit
    assert git(repository, "diff", "--name-only", run.base_commit, run.head_commit) == "app.py"
    assert git(repository, "show", f"{run.head_commit}:app.py") == "x = 1"
    assert "Fixer: python.ruff" in git(repository, "log", "-1", "--format=%B", run.head_commit)
    assert listing(build.source) == before
    trial = FixTrial.objects.get()
    assert (trial.passed, trial.ladder_level, trial.guard_verdict["action"]) == (True, 3, "allow")
    (event,) = events(build, "autofix.patch_applied")
    assert event.payload["commit"] == run.head_commit


def test_advance__test_fails_again_on_an_unchanged_tree__is_rolled_back(tmp_path):
    steps = [{"name": "make", "run": "echo made > made.txt"}, {"name": "test", "kind": "test", "run": says(ASSERTION)}]
    build = start(tmp_path, steps)
    run = build.go()
    assert (run.status, run.outcome) == ("rolled_back", "rolled_back")
    assert build.outcomes() == [("TEST_ASSERT", "RETRY", "failed"), ("TEST_ASSERT", "ROLLBACK", "rolled_back")]
    assert build.executions("test") == [("build", "exited"), ("flake_check", "exited")]
    assert build.files() == listing(build.source, skip=(".git",))
    assert events(build, "autofix.rolled_back").count() == 1


def test_advance__test_passes_the_second_time__was_a_flake(tmp_path):
    build = start(tmp_path, [{"name": "test", "kind": "test", "run": fails_times(1, ASSERTION)}])
    assert build.go().outcome == "healed"
    assert build.outcomes() == [("TEST_ASSERT", "RETRY", "succeeded")]


def test_advance__rolled_back__runs_rollback_commands_last_first(tmp_path):
    log = tmp_path / "log"
    steps = [
        {"name": "one", "run": "true", "rollback": f"echo one >> {log}"},
        {"name": "two", "run": "true", "rollback": f"echo two >> {log}"},
        {"name": "test", "kind": "test", "run": says(ASSERTION)},
        {"name": "never", "run": "true", "rollback": f"echo never >> {log}"},
    ]
    assert start(tmp_path, steps).go().status == "rolled_back"
    assert log.read_text().split() == ["two", "one"]


def test_advance__rollback_command_fails__needs_a_person(tmp_path):
    steps = [
        {"name": "one", "run": "true", "rollback": "exit 3"},
        {"name": "t", "kind": "test", "run": says(ASSERTION)},
    ]
    run = start(tmp_path, steps).go()
    assert (run.status, run.outcome) == ("failed", "gave_up")
    assert "rolling back one failed" in run.result_note


def test_advance__fix_breaks_a_later_step__is_blamed_reverted_and_escalated(tmp_path):
    steps = [
        {"name": "lint", "kind": "lint", "run": f"{RUFF} check ."},
        {"name": "test", "kind": "test", "run": f"grep -q '^import os' app.py || {{ {says(ASSERTION)}; }}"},
    ]
    build = start(tmp_path, steps, {"app.py": UNUSED_IMPORT})
    run = build.go()
    assert (run.status, run.outcome) == ("waiting_approval", "escalated")
    assert (build.gate.kind, build.gate.step.name) == ("harmful_fix", "test")
    fix = build.attempts[0]
    assert (fix.harmful, fix.outcome) == (True, "rolled_back")
    assert run.head_commit == run.base_commit
    assert (build.root / "app.py").read_text() == UNUSED_IMPORT

    build.approve()
    build.go()
    # The lint step was green only with the fix: the run must not end green without it.
    assert build.run.status != "succeeded"
    assert "app.py" not in [
        line
        for line in git(
            build.workspace.places.git_dir, "diff", "--name-only", run.base_commit, build.workspace.head_commit
        ).split()
    ]


def test_advance__re_planned__inserts_the_step_and_keeps_what_is_green(tmp_path, monkeypatch):
    def install(bench, failure):
        yield Proposal(
            summary="Install it",
            plan=with_install_step(failure.plan, "python3 -m venv --without-pip .venv", before="use"),
        )

    plug_in(monkeypatch, Editing(install, types={FailureType.INFRA}, strategy=Strategy.REPLAN))
    steps = [
        {"name": "first", "run": "true"},
        {
            "name": "use",
            "run": f"test -e .venv/bin/python3 || {{ {says('bash: line 1: frobnicate: command not found', 127)}; }}",
        },
    ]
    build = start(tmp_path, steps)
    original = build.run.plan
    run = build.go()
    assert (run.status, run.outcome) == ("succeeded", "healed")
    delta = PlanDelta.objects.get(run=run)
    assert (delta.original_plan, delta.new_plan, delta.triggered_by) == (original, run.plan, "test.editing")
    assert run.plan.parent == original
    assert delta.delta_data[0]["op"] == "add"
    assert build.statuses() == {"first": "succeeded", "install-more": "succeeded", "use": "succeeded"}
    assert build.executions("first") == [("build", "exited")]
    assert events(build, "autofix.replanned").get().payload["delta"] == delta.delta_data


# Gates


def gated(tmp_path, **options):
    """A run that waits at the gate of a security finding which goes away when somebody says so."""
    return start(
        tmp_path,
        [{"name": "scan", "kind": "security", "run": f"test -e .scratch/fine || {{ {says(LEAK)}; }}"}],
        **options,
    )


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


def proposing(tmp_path, monkeypatch, edit=None, **fixer):
    """A run whose only fix needs a person: it writes a protected file."""
    edit = edit or writes("CODEOWNERS", "* @team\n")
    plug_in(monkeypatch, Editing(edit, **fixer))
    return start(
        tmp_path,
        [
            {"name": "make", "run": "echo made > made.txt"},
            {"name": "lint", "kind": "lint", "run": f"test -s CODEOWNERS || {{ {says(FINDING)}; }}"},
        ],
        {"CODEOWNERS": ""},
    )


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


# Stops


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


def cancelling(build):
    """A listener that asks to cancel from another thread as soon as a step has said `ready`."""

    class Canceller(Told):
        asked = False

        def tell(self, event, /, **facts):
            if event == "output" and "ready" in facts["text"] and not self.asked:
                self.asked = True
                thread = threading.Thread(target=self.cancel)
                thread.start()
                thread.join()

        def cancel(self):
            try:
                request_cancel(BuildRun.objects.get(pk=build.run.pk), actor=None)
            finally:
                connection.close()

    return Canceller()


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
