"""The engine is killed (SIGKILL) at one point or another; whoever takes the run over ends it as if nothing had been."""

from __future__ import annotations

import os
import shutil

import pytest
from django.db import OperationalError

from autofix import ending, orchestrator, takeover
from autofix.decision import Strategy
from autofix.failures import FailureType
from autofix.fixers.base import Proposal
from autofix.models import RetryState
from autofix.replanning import with_install_step
from metabuilder.builds.models import StepExecution
from metabuilder.builds.workspaces import Workspace
from tests.builds.repositories import git, listing
from tests.engine import (
    ASSERTION,
    CUT_OFF,
    FINDING,
    LEAK,
    RUFF,
    UNUSED_IMPORT,
    Editing,
    after,
    at,
    fails_times,
    kill_engine,
    plug_in,
    says,
    start,
    writes,
)

pytestmark = pytest.mark.django_db(transaction=True)
LINT = {"name": "lint", "kind": "lint", "run": f"{RUFF} check ."}


def says_ready_then_hangs_once(log):
    return (
        f"echo start >> {log}; if [ ! -e .scratch ]; then mkdir .scratch; echo ready; sleep 60; fi; echo end >> {log}"
    )


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_takeover__killed_in_a_step__runs_it_again_and_charges_nothing(tmp_path):
    log = tmp_path / "log"
    build = start(tmp_path, [{"name": "s", "run": says_ready_then_hangs_once(log)}])
    kill_engine(build, at("output", text="ready\n"))
    assert build.again().status == "running"
    left = StepExecution.objects.get()
    run = build.go()
    assert (run.status, run.outcome, run.first_signal) == ("succeeded", "clean", None)
    assert build.executions() == [("build", "lost"), ("build", "exited")]
    assert log.read_text().split() == ["start", "start", "end"]
    assert build.outcomes() == []
    assert RetryState.objects.get().total_attempts == 0
    assert not alive(left.process["pid"])


def test_takeover__killed_in_a_retry__the_attempt_is_charged_once(tmp_path):
    hangs_once = (
        "if [ -e .scratch/first ] && [ ! -e .scratch/second ]; then touch .scratch/second; echo ready; sleep 60; fi; "
    )
    fails_once = f"mkdir -p .scratch; if [ ! -e .scratch/first ]; then touch .scratch/first; {says(CUT_OFF)}; fi"
    build = start(tmp_path, [{"name": "s", "run": hangs_once + fails_once}])
    kill_engine(build, at("output", text="ready\n"))
    assert build.go().outcome == "healed"
    assert build.outcomes() == [("TRANSIENT", "RETRY", "succeeded")]
    assert build.executions() == [("build", "exited"), ("retry", "lost"), ("retry", "exited")]
    assert RetryState.objects.get().total_attempts == 1


def test_takeover__killed_in_a_backoff__goes_on_when_it_is_due(tmp_path):
    build = start(
        tmp_path, [{"name": "s", "run": fails_times(1, CUT_OFF), "retry": {"TRANSIENT": {"base_delay": 0.3}}}]
    )
    kill_engine(build, at("waiting"))
    assert build.again().status == "waiting_retry"
    assert build.go().outcome == "healed"
    assert RetryState.objects.get().total_attempts == 1


def test_takeover__killed_in_a_trial__puts_the_files_back_and_tries_anew(tmp_path, monkeypatch):
    def edit(bench, failure):
        assert (bench.root / "app.py").read_text() == UNUSED_IMPORT
        assert not (bench.root / ".scratch").exists()
        (bench.root / "app.py").write_text("x = 1\n")
        (bench.root / ".scratch").mkdir()
        (bench.root / ".scratch/made").touch()
        yield Proposal(summary="Remove it")

    plug_in(monkeypatch, Editing(edit))
    build = start(tmp_path, [LINT], {"app.py": UNUSED_IMPORT})
    kill_engine(build, at("guarded"))
    assert (build.root / "app.py").read_text() == "x = 1\n"  # what the killed one left
    run = build.go()
    assert (run.status, run.outcome) == ("succeeded", "healed")
    assert build.outcomes() == [("LINT", "PATCH", "superseded"), ("LINT", "PATCH", "succeeded")]
    assert RetryState.objects.get().total_attempts == 2  # the work was begun: it stays spent
    assert len(build.workspace.fixes()) == 1


def test_takeover__killed_between_fix_commit_and_its_record__commits_it_once(tmp_path):
    build = start(tmp_path, [{"name": "gen", "run": "echo y > made.txt"}, LINT], {"app.py": UNUSED_IMPORT})
    kill_engine(build, after(Workspace, "commit_fix"))
    run = build.go()
    assert (run.status, run.outcome) == ("succeeded", "healed")
    assert build.workspace.fixes() == [run.head_commit] == [build.attempts[-1].fix_commit]
    assert (build.root / "made.txt").exists()


@pytest.mark.parametrize("first", [[], [{**LINT, "name": "other", "run": f"{RUFF} check --select I001 ."}]])
def test_takeover__killed_between_revert_and_its_record__convicts_the_fix_all_the_same(tmp_path, first):
    test = {"name": "test", "kind": "test", "run": f"grep -q '^import os' app.py || {{ {says(ASSERTION)}; }}"}
    source = "import sys\nimport os\n\nprint(sys)\n" if first else UNUSED_IMPORT
    build = start(tmp_path, [*first, LINT, test], {"app.py": source})
    kill_engine(build, after(Workspace, "revert_fix"))
    run = build.go()
    assert (run.status, build.gate.kind) == ("waiting_approval", "harmful_fix")
    assert "import os" in (build.root / "app.py").read_text()
    assert run.head_commit == build.workspace.head_commit
    assert [a.harmful for a in build.attempts if a.fix_commit] == [False] * len(first) + [True]


def test_takeover__killed_after_a_re_plan__keeps_what_its_step_installed(tmp_path, monkeypatch):
    def install(bench, failure):
        plan = with_install_step(failure.plan, "python3 -m venv --without-pip .venv", before="use")
        yield Proposal(summary="Install it", plan=plan)

    plug_in(monkeypatch, Editing(install, types={FailureType.INFRA}, strategy=Strategy.REPLAN))
    missing = says("bash: line 1: frobnicate: command not found", 127)
    steps = [
        {"name": "use", "run": f"test -e .venv/bin/python3 || {{ {missing}; }}"},
        {"name": "hang", "run": says_ready_then_hangs_once(tmp_path / "log")},
        {"name": "again", "run": "test -e .venv/bin/python3"},
    ]
    build = start(tmp_path, steps)
    kill_engine(build, at("output", text="ready\n"))
    run = build.go()
    assert (run.status, run.outcome) == ("succeeded", "healed")
    assert build.outcomes() == [("INFRA", "REPLAN", "succeeded")]


# Gates


def gated_fix(tmp_path, monkeypatch):
    plug_in(monkeypatch, Editing(writes("CODEOWNERS", "* @team\n")))
    check = f"test -s CODEOWNERS || {{ {says(FINDING)}; }}"
    steps = [{"name": "make", "run": "echo made > made.txt"}, {"name": "lint", "kind": "lint", "run": check}]
    return start(tmp_path, steps, {"CODEOWNERS": ""})


@pytest.mark.parametrize(
    "point",
    [at("guarded"), after(Workspace, "apply_frozen"), after(Workspace, "commit_fix"), after(Workspace, "reset_to")],
    ids=["in the proof", "applied", "committed", "resumed"],
)
def test_takeover__killed_while_it_does_what_was_approved__does_it_exactly_once(tmp_path, monkeypatch, point):
    build = gated_fix(tmp_path, monkeypatch)
    build.go()
    build.approve()
    kill_engine(build, point)
    run = build.go()
    assert (run.status, run.outcome) == ("succeeded", "healed")
    assert build.workspace.fixes() == [run.head_commit]
    assert (build.root / "CODEOWNERS").read_text() == "* @team\n"
    assert (build.root / "made.txt").exists()


def test_takeover__killed_when_the_gate_was_open__people_still_decide(tmp_path, monkeypatch):
    build = gated_fix(tmp_path, monkeypatch)
    kill_engine(build, at("gate_opened"))
    assert build.again().status == "waiting_approval"
    build.approve()
    assert build.go().outcome == "healed"


def test_takeover__killed_while_it_rolls_back_what_was_rejected__rolls_back(tmp_path):
    log = tmp_path / "log"
    down = {"name": "up", "run": "true", "rollback": f"echo down >> {log}"}
    build = start(tmp_path, [down, {"name": "scan", "kind": "security", "run": says(LEAK)}])
    build.go()
    build.reject()
    kill_engine(build, after(ending, "_undo_effects"))
    assert build.again().status == "running"
    run = build.go()
    assert (run.status, run.outcome) == ("rolled_back", "rolled_back")
    assert build.outcomes() == [("SECURITY", "ESCALATE", "rejected")]


# Effects outside the workspace


def deploy(tmp_path, **extra):
    log = tmp_path / "deployed"
    again = tmp_path / "again"
    hangs_once = f"if [ ! -e {again} ]; then touch {again}; echo ready; sleep 60; fi"
    run = f"echo begin >> {log}; {hangs_once}; echo done >> {log}"
    return start(tmp_path, [{"name": "deploy", "kind": "deploy", "run": run, **extra}]), log


def test_takeover__external_effect_unknown__asks_and_never_runs_it_blind(tmp_path):
    build, log = deploy(tmp_path)
    kill_engine(build, at("output", text="ready\n"))
    run = build.go()
    assert (run.status, build.gate.kind) == ("waiting_approval", "unknown_effect")
    assert log.read_text().split() == ["begin"]
    build.approve()
    assert build.go().status == "succeeded"
    assert log.read_text().split() == ["begin", "begin", "done"]


def test_takeover__probe_says_it_happened__is_not_run_again(tmp_path):
    build, log = deploy(tmp_path, probe="true")
    kill_engine(build, at("output", text="ready\n"))
    assert build.go().status == "succeeded"
    assert log.read_text().split() == ["begin"]


def test_takeover__probe_says_it_did_not_happen__is_run_again(tmp_path):
    build, log = deploy(tmp_path, probe="false")
    kill_engine(build, at("output", text="ready\n"))
    assert build.go().status == "succeeded"
    assert log.read_text().split() == ["begin", "begin", "done"]


def test_external_effects__step_fails__is_never_retried_blind(tmp_path):
    build = start(tmp_path, [{"name": "deploy", "kind": "deploy", "run": says(CUT_OFF)}])
    assert build.go().status == "waiting_approval"
    assert build.executions() == [("build", "exited")]
    assert [strategy for _, strategy, _ in build.outcomes()] == ["ESCALATE"]


def test_takeover__killed_when_an_external_step_had_ended__does_not_run_it_again_blind(tmp_path):
    log = tmp_path / "log"
    build = start(tmp_path, [{"name": "deploy", "kind": "deploy", "run": f"echo x >> {log}"}])
    kill_engine(build, after(orchestrator._Loop, "_close"))
    assert build.go().status == "succeeded"
    assert log.read_text() == "x\n"


# Our own failures


def test_own_failure__something_of_ours_breaks__ends_the_run_and_is_not_the_users(tmp_path, monkeypatch):
    build = start(tmp_path, [{"name": "s", "run": fails_times(1, CUT_OFF)}])

    def breaks(*_):
        raise OSError(28, "No space left on device: https://ann:hunter2secret@example.org/x")

    monkeypatch.setattr(Workspace, "begin_trial", breaks)
    monkeypatch.setattr(orchestrator.Healer, "failure_of", breaks)
    with pytest.raises(OSError, match="No space left"):
        build.go()
    run = build.again()
    assert (run.status, run.outcome, run.lease_expires_at) == ("failed", "", None)
    assert "our own failure" in run.result_note
    assert "No space left" in run.result_note
    assert "hunter2secret" not in run.result_note
    assert build.outcomes() == []


def test_own_failure__a_fixer_breaks__is_the_fixers(tmp_path, monkeypatch):
    def edit(bench, failure):
        (bench.root / "app.py").write_text("half")
        raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")
        yield

    plug_in(monkeypatch, Editing(edit))
    build = start(tmp_path, [LINT], {"app.py": UNUSED_IMPORT})
    assert build.go().status == "waiting_approval"
    assert build.outcomes() == [("LINT", "PATCH", "failed"), ("LINT", "ESCALATE", "escalated")]
    assert "invalid start byte" in build.attempts[0].decision["result"]
    assert (build.root / "app.py").read_text() == UNUSED_IMPORT


def test_own_failure__a_fixer_cannot_read_the_project__others_still_help(tmp_path, monkeypatch):
    broken, fine = Editing(None), Editing(writes("app.py", "x = 1\n"))
    broken.candidates = lambda failure: 1 / 0
    plug_in(monkeypatch, broken, fine)
    assert start(tmp_path, [LINT], {"app.py": UNUSED_IMPORT}).go().outcome == "healed"


def test_poison__every_holder_dies__the_run_ends_as_our_own_failure(tmp_path):
    build = start(tmp_path, [{"name": "s", "run": "echo ready; sleep 60"}])
    for number in range(1, takeover.MAX_LOST_HOLDERS + 1):
        kill_engine(build, at("output", text="ready\n"))
        assert build.again().lost_holders == number - 1
    with pytest.raises(takeover.HoldersDied):
        build.go()
    run = build.again()
    assert (run.status, run.outcome) == ("failed", "")
    assert "5 processes in a row died" in run.result_note
    assert {end for _, end in build.executions()} == {"lost"}


def test_poison__database_fails_under_the_holder__is_counted_and_tried_again(tmp_path, monkeypatch):
    build = start(tmp_path, [{"name": "s", "run": "true"}])

    def breaks(*_):
        raise OperationalError("deadlock detected")

    with monkeypatch.context() as patch:
        patch.setattr(takeover, "_take_over", breaks)
        with pytest.raises(OperationalError):
            build.go()
    assert (build.again().status, build.run.lost_holders) == ("queued", 1)
    assert build.go().status == "succeeded"
    assert build.run.lost_holders == 0


def test_takeover__source__is_untouched_by_all_of_it(tmp_path, monkeypatch):
    build = gated_fix(tmp_path, monkeypatch)
    before = listing(build.source)
    kill_engine(build, at("guarded"))
    build.go()
    build.approve()
    kill_engine(build, after(Workspace, "commit_fix"))
    assert build.go().outcome == "healed"
    assert listing(build.source) == before
    assert git(build.source, "status", "--porcelain") == ""


def test_workspace_of_a_lost_host__is_made_anew_and_the_run_still_ends(tmp_path):
    build = start(
        tmp_path,
        [
            {"name": "a", "run": "echo a > .scratch-a"},
            {"name": "b", "run": says_ready_then_hangs_once(tmp_path / "log")},
        ],
    )
    kill_engine(build, at("output", text="ready\n"))
    shutil.rmtree(build.workspace.places.directory)
    kill_engine(build, at("output", text="ready\n"))  # the scratch directory is gone with the host
    assert build.go().status == "succeeded"
    assert build.executions("a")[-1] == ("build", "exited")
