"""Whole runs through the engine: real git, real processes, a real database."""

from __future__ import annotations

from itertools import pairwise

import pytest
from django.utils import timezone
from django_q.models import OrmQ

from autofix.decision import Strategy
from autofix.failures import FailureType
from autofix.fixers.base import Proposal
from autofix.models import FixTrial, PlanDelta, RetryState
from autofix.replanning import with_install_step
from metabuilder.builds.models import BuildRun, StepExecution
from settings_flags.services import set_run_settings
from tests.builds.repositories import git, listing
from tests.engine import (
    ASSERTION,
    CUT_OFF,
    RUFF,
    UNUSED_IMPORT,
    Editing,
    events,
    fails_times,
    plug_in,
    says,
    start,
)

pytestmark = pytest.mark.django_db(transaction=True)


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
    waits = [b.started_at - a.finished_at for a, b in pairwise(executions)]
    assert [w.total_seconds() >= a.backoff for w, a in zip(waits, build.attempts, strict=True)] == [True, True]
    state = RetryState.objects.get(run=run)
    assert (state.attempt_counter, state.total_attempts, state.per_step_attempts) == (2, 2, {"fetch": 2})
    assert state.last_backoff_seconds == second.backoff


def test_advance__in_the_background__a_backoff_frees_the_worker_and_leaves_a_due_message(tmp_path):
    retry = {"TRANSIENT": {"base_delay": 50}}
    build = start(tmp_path, [{"name": "fetch", "run": fails_times(1, CUT_OFF), "retry": retry}], foreground=False)
    OrmQ.objects.all().delete()
    run = build.go(wait=False)
    assert (run.status, run.lease_expires_at) == ("waiting_retry", None)
    message = OrmQ.objects.get()
    assert (run.wake_message, run.wake_at) == (message.pk, message.lock)
    assert build.go(wait=False).status == "waiting_retry"  # delivered too early: nothing happens
    BuildRun.objects.filter(pk=run.pk).update(wake_at=timezone.now())
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
    assert build.workspace.fixes() == []


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
