"""`manage.py heal`: the JSON contract, exit statuses and options."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from autofix import orchestrator, takeover
from autofix.console import Console
from autofix.plan_files import plan_for
from autofix.report import run_report
from metabuilder.builds.accounts import local_user
from metabuilder.builds.leases import take_lease
from metabuilder.builds.models import BuildRun
from metabuilder.builds.runs import create_run
from tests.builds.repositories import git, listing, make_repository
from tests.engine import ASSERTION, CUT_OFF, LEAK, RUFF, fails_times, says

pytestmark = pytest.mark.django_db(transaction=True)
ROOT = Path(__file__).resolve().parents[1]
KEYS = {
    "run_id",
    "status",
    "outcome",
    "first_signal",
    "workspace",
    "branch",
    "base_commit",
    "head_commit",
    "attempts",
    "gates",
}


def repository(tmp_path, *steps, files=None):
    """A repository with a plan of its own. JSON is YAML."""
    specs = [{"kind": "build", "retry": {"TRANSIENT": {"base_delay": 0.02}}, **step} for step in steps]
    plan = json.dumps({"name": "sample", "steps": specs})
    return make_repository(
        tmp_path / "source",
        {".gitignore": ".scratch/\n", "app.py": "x = 1\n", "metabuilder.yaml": plan, **(files or {})},
    )


def heal(*args):
    """Return (exit status, the object on the last line of stdout, all of stdout, stderr)."""
    out, err = StringIO(), StringIO()
    code = 0
    stderr, sys.stderr = sys.stderr, err
    try:
        call_command("heal", *map(str, args), stdout=out, stderr=err)
    except SystemExit as error:
        code = error.code
    finally:
        sys.stderr = stderr
    lines = out.getvalue().splitlines()
    return code, json.loads(lines[-1]) if lines else None, out.getvalue(), err.getvalue()


def test_heal__passes__exits_0_with_one_object(tmp_path):
    source = repository(tmp_path, {"name": "s", "run": "echo hello"})
    code, report, out, err = heal(source, "--json")
    assert code == 0
    assert len(out.splitlines()) == 1  # progress goes to standard error
    assert "s" in err
    assert set(report) >= KEYS
    head = git(source, "rev-parse", "HEAD")
    assert (report["status"], report["outcome"], report["first_signal"]) == ("succeeded", "clean", None)
    assert report["base_commit"] == report["head_commit"] == head
    assert (report["attempts"], report["gates"]) == ([], [])
    assert Path(report["workspace"], "app.py").is_file()


def test_heal__healed__exits_0_and_says_how(tmp_path):
    source = repository(
        tmp_path,
        {"name": "fetch", "run": fails_times(1, CUT_OFF)},
        {"name": "lint", "kind": "lint", "run": f"{RUFF} check ."},
        files={"app.py": "import os\n\nx = 1\n"},
    )
    before = listing(source)
    code, report, *_ = heal(source, "--json")
    assert (code, report["status"], report["outcome"]) == (0, "succeeded", "healed")
    assert report["first_signal"] == {
        "type": "TRANSIENT",
        "confidence": report["first_signal"]["confidence"],
        "message": CUT_OFF,
    }
    assert 0 < report["first_signal"]["confidence"] <= 1
    retry, patch = report["attempts"]
    assert retry == {
        "step": "fetch",
        "signal_type": "TRANSIENT",
        "strategy": "RETRY",
        "outcome": "succeeded",
        "attempt": 1,
        "backoff": retry["backoff"],
    }
    assert (patch["step"], patch["strategy"], patch["backoff"]) == ("lint", "PATCH", None)
    assert report["branch"] == f"metabuilder/run-{report['run_id']}"
    assert report["head_commit"] != report["base_commit"]
    assert listing(source) == before
    repository_of_run, branch = report["delivered"].split()
    git(tmp_path, "clone", "-q", "--branch", branch, repository_of_run, "fetched")
    assert git(tmp_path / "fetched", "rev-parse", "HEAD") == report["head_commit"]


@pytest.mark.parametrize(
    ("step", "code", "status", "outcome"),
    [
        ({"name": "t", "kind": "test", "run": says(ASSERTION)}, 1, "rolled_back", "rolled_back"),
        ({"name": "s", "kind": "security", "run": says(LEAK)}, 3, "waiting_approval", "escalated"),
    ],
)
def test_heal__not_healed__exits_so(tmp_path, step, code, status, outcome):
    found, report, *_ = heal(repository(tmp_path, step), "--json")
    assert (found, report["status"], report["outcome"]) == (code, status, outcome)
    assert len(report["gates"]) == (code == 3)


def test_heal__auto_fix_off__exits_1_and_gave_up(tmp_path, monkeypatch):
    from settings_flags.testing import override_settings_flags

    with override_settings_flags(auto_fix_enabled=False):
        code, report, *_ = heal(repository(tmp_path, {"name": "s", "run": says(CUT_OFF)}), "--json")
    assert (code, report["status"], report["outcome"]) == (1, "failed", "gave_up")


def test_heal__our_own_failure__exits_70_with_the_object_and_no_secret(tmp_path, monkeypatch):
    def breaks(*_):
        raise RuntimeError("cannot reach https://ann:hunter2secret@example.org/x")

    monkeypatch.setattr(takeover, "_take_over", breaks)
    code, report, *_ = heal(repository(tmp_path, {"name": "s", "run": "true"}), "--json")
    assert (code, report["status"], report["outcome"]) == (70, "failed", None)
    assert set(report) >= KEYS | {"error"}
    assert "cannot reach" in report["error"]["message"]
    assert "hunter2secret" not in json.dumps(report)


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_heal__for_people__shows_the_steps_whatever_the_terminal_can_say(tmp_path, encoding):
    shown = BytesIO()
    source = repository(tmp_path, {"name": "build-it", "run": "true"})
    stream = TextIOWrapper(shown, encoding=encoding)
    console = Console(stream)
    tenant, user = local_user()
    plan, origin = plan_for(source, None)
    console.plan(plan, origin)
    run = create_run(tenant=tenant, actor=user, source=str(source), plan=plan, foreground=True)
    orchestrator.advance(run.pk, progress=console, wait=True)
    run.refresh_from_db()
    console.closing(run, run_report(run))
    stream.flush()
    text = shown.getvalue().decode(encoding)
    assert "build-it" in text
    assert f"autofix_history {run.pk}" in text


def test_heal__nobody_reads_any_more__the_run_still_ends(tmp_path):
    readable, writable = os.pipe()
    os.close(readable)
    source = repository(tmp_path, {"name": "s", "run": "true"})
    tenant, user = local_user()
    run = create_run(tenant=tenant, actor=user, source=str(source), plan=plan_for(source, None)[0], foreground=True)
    with suppress(OSError), os.fdopen(writable, "w") as stream:
        orchestrator.advance(run.pk, progress=Console(stream), wait=True)
    run.refresh_from_db()
    assert (run.status, run.outcome) == ("succeeded", "clean")


# Options


def test_heal__out__writes_report_patch_and_logs(tmp_path):
    source = repository(
        tmp_path,
        {"name": "lint", "kind": "lint", "run": f"echo looking; {RUFF} check ."},
        files={"app.py": "import os\n\nx = 1\n"},
    )
    out = tmp_path / "out"
    _, report, *_ = heal(source, "--json", "--out", out)
    assert json.loads((out / "report.json").read_text()) == report
    assert "-import os" in (out / "fixes.patch").read_text()
    logs = sorted(path.name for path in out.glob("*.log"))
    assert [name.split("-", 1)[1] for name in logs] == ["lint-build.log", "lint-proof.log", "lint-proof.log"]
    assert "F401" in (out / logs[0]).read_text()
    git(source, "apply", "--check", str(out / "fixes.patch"))


def test_heal__show_plan__runs_nothing(tmp_path):
    code, _, _, err = heal(repository(tmp_path, {"name": "build-it", "run": "false"}), "--show-plan", "--json")
    assert code == 0
    assert "build-it" in err
    assert not BuildRun.objects.exists()


def test_heal__plan_file__goes_before_the_repositorys_own(tmp_path):
    source = repository(tmp_path, {"name": "own", "run": "false"})
    plan = tmp_path / "plan.yaml"
    plan.write_text("name: other\nsteps:\n- {name: given, run: 'true'}\n")
    assert heal(source, "--plan", plan, "--json")[0] == 0
    assert BuildRun.objects.get().steps.get().name == "given"


def test_heal__uncommitted_changes__are_named_and_left_out_unless_asked_for(tmp_path):
    source = repository(tmp_path, {"name": "s", "run": "grep -q 2 app.py"})
    (source / "app.py").write_text("x = 2\n")
    _, report, _, err = heal(source, "--json")
    assert report["status"] != "succeeded"
    assert "app.py" in err
    code, report, _, err = heal(source, "--json", "--worktree")
    assert (code, report["outcome"]) == (0, "clean")
    assert "Not built" not in err


def test_heal__ref__is_built_instead_of_head(tmp_path):
    source = repository(tmp_path, {"name": "s", "run": "! grep -q 2 app.py"})
    (source / "app.py").write_text("x = 2\n")
    git(source, "commit", "-qam", "second")
    assert heal(source, "--json", "--ref", "v1")[0] == 0


BAD_PLANS = [
    ("steps: [", "metabuilder.yaml"),
    ("name: p\nsteps:\n- {name: a, run: 'true', needs: [instal]}\n", "steps[0].needs[0]"),
    ("name: p\nsteps: []\n", "steps"),
    ("name: p\nsteps:\n- {name: a, run: 'true', kind: nonsense}\n", "steps[0].kind"),
]


@pytest.mark.parametrize(("text", "named"), BAD_PLANS)
def test_heal__bad_plan__exits_2_and_names_the_place(tmp_path, text, named):
    source = make_repository(tmp_path / "source", {"metabuilder.yaml": text})
    with pytest.raises(CommandError) as caught:
        heal(source, "--json")
    assert caught.value.returncode == 2
    assert named in str(caught.value)
    assert not BuildRun.objects.exists()


@pytest.mark.parametrize(
    "args", [[], ["nowhere"], ["--resume", "ffffffff"], [".", "--plan", "nowhere.yaml"], [".", "--tenant", "nobody"]]
)
def test_heal__bad_usage__exits_2(tmp_path, monkeypatch, args):
    monkeypatch.chdir(repository(tmp_path, {"name": "s", "run": "true"}))
    with pytest.raises(CommandError) as caught:
        heal(*args, "--json")
    assert caught.value.returncode == 2


def test_heal__not_a_repository__exits_2(tmp_path):
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain/metabuilder.yaml").write_text("name: p\nsteps:\n- {name: a, run: 'true'}\n")
    with pytest.raises(CommandError) as caught:
        heal(tmp_path / "plain", "--json")
    assert caught.value.returncode == 2


def test_heal__no_such_ref__exits_2(tmp_path):
    with pytest.raises(CommandError) as caught:
        heal(repository(tmp_path, {"name": "s", "run": "true"}), "--json", "--ref", "nowhere")
    assert caught.value.returncode == 2
    assert "nowhere" in str(caught.value)


# Going on


def test_heal__resume_of_a_rolled_back_run__starts_its_next_iteration(tmp_path):
    source = repository(tmp_path, {"name": "t", "kind": "test", "run": fails_times(2, ASSERTION)})
    code, report, *_ = heal(source, "--json")
    assert code == 1
    code, again, *_ = heal("--resume", report["run_id"][:8], "--json")
    assert (code, again["run_id"], again["outcome"]) == (0, report["run_id"], "clean")
    assert BuildRun.objects.get().iteration == 2


def test_heal__resume_of_a_finished_run__exits_2(tmp_path):
    _, report, *_ = heal(repository(tmp_path, {"name": "s", "run": "true"}), "--json")
    with pytest.raises(CommandError, match="succeeded") as caught:
        heal("--resume", report["run_id"], "--json")
    assert caught.value.returncode == 2


def test_heal__resume_of_a_run_that_somebody_works_on__exits_2_and_leaves_it_to_them(tmp_path, settings):
    settings.METABUILDER_LEASE_SECONDS = 0.2
    _, report, *_ = heal(repository(tmp_path, {"name": "s", "kind": "security", "run": says(LEAK)}), "--json")
    settings.METABUILDER_LEASE_SECONDS = 60
    take_lease(report["run_id"])
    settings.METABUILDER_LEASE_SECONDS = 0.2
    with pytest.raises(CommandError, match="another process") as caught:
        heal("--resume", report["run_id"], "--json")
    assert caught.value.returncode == 2
    assert BuildRun.objects.get().foreground is False


# Signals need a process of their own, with a database of its own


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_heal__interrupted__cancels_keeps_the_workspace_and_can_be_resumed(tmp_path, number):
    source = repository(
        tmp_path, {"name": "s", "run": "[ -e .scratch ] || { mkdir .scratch; echo $$ > .scratch/pid; sleep 60; }"}
    )
    environment = {
        **{name: value for name, value in os.environ.items() if name != "DATABASE_URL"},
        "METABUILDER_DATA_DIR": str(tmp_path / "data"),
        "DJANGO_SETTINGS_MODULE": "metabuilder.settings",
    }
    command = [sys.executable, "manage.py", "heal", "--json"]
    process = subprocess.Popen(
        [*command, str(source)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    pid = until(lambda: next(iter((tmp_path / "data").glob("workspaces/*/src/*/.scratch/pid")), None))
    until(lambda: pid.read_text().strip())
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    report = json.loads(out.splitlines()[-1])
    assert (process.returncode, report["status"], report["outcome"]) == (130, "cancelled", None), err
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)
    assert Path(report["workspace"]).is_dir()
    again = subprocess.run(
        [*command, "--resume", report["run_id"]], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert (again.returncode, json.loads(again.stdout.splitlines()[-1])["outcome"]) == (0, "clean"), again.stderr


def until(ready, seconds=30):
    deadline = time.monotonic() + seconds
    while not (found := ready()):
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.05)
    return found


def test_settings__data_directory_of_a_test__is_its_own():
    assert ROOT not in settings.METABUILDER_DATA_DIR.parents
