"""`kill -9` of real worker processes. After a restart every run ends by itself, and no step ever ran twice at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg2
import pytest

from tests.builds.repositories import make_repository
from tests.engine import CUT_OFF, LEAK, says

pytestmark = pytest.mark.crash
ROOT = Path(__file__).resolve().parents[2]
# A step that beats: each copy writes its pid every 50 ms, so that the log shows which copies lived when.
BEATS = 'echo "start $$" >> LOG; for i in $(seq 40); do echo "beat $$" >> LOG; sleep 0.05; done; echo "end $$" >> LOG'
FACTS = """
import json
from autofix.models import AutoFixRun, RetryState
from metabuilder.builds.models import BuildRun, StepExecution
run = BuildRun.objects.get(pk="{run}")
state = RetryState.objects.filter(run=run).first()
gate = run.gates.order_by("created_at").last()
print(json.dumps({{
    "status": run.status, "outcome": run.outcome, "owner": run.lease_owner, "note": run.result_note,
    "executions": [list(e) for e in StepExecution.objects.filter(step__run=run).order_by("started_at")
                   .values_list("step__name", "purpose", "end")],
    "attempts": [list(a) for a in AutoFixRun.objects.filter(run=run).order_by("created_at")
                 .values_list("signal_type", "strategy", "outcome")],
    "spent": state and [state.attempt_counter, state.total_attempts, state.per_step_attempts],
    "gate": gate and str(gate.pk),
}}))
"""


@dataclass
class Installation:
    """A service of its own: data directory, database, at most one worker command."""

    directory: Path
    environment: dict[str, str]
    worker: subprocess.Popen | None = None
    output: Path = field(init=False)

    def __post_init__(self):
        self.output = self.directory / "worker.txt"

    def manage(self, *args, ok=True):
        done = subprocess.run(
            [sys.executable, "manage.py", *args],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0 or not ok, done.stdout + done.stderr
        return done

    def start_worker(self):
        with self.output.open("a") as out:
            self.worker = subprocess.Popen(
                [sys.executable, "manage.py", "worker"],
                cwd=ROOT,
                env=self.environment,
                stdout=out,
                stderr=out,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def kill_worker(self):
        os.killpg(self.worker.pid, signal.SIGKILL)
        self.worker.wait()
        self.worker = None

    def stop(self):
        if self.worker:
            self.worker.terminate()
            try:
                self.worker.wait(20)
            except subprocess.TimeoutExpired:
                self.kill_worker()

    def start_run(self, *steps):
        plan = json.dumps({"name": "sample", "steps": [{"kind": "build", **step} for step in steps]})
        source = make_repository(self.directory / "source", {".gitignore": ".scratch/\n", "metabuilder.yaml": plan})
        return json.loads(self.manage("start_run", str(source), "--json").stdout)["run_id"]

    def facts(self, run):
        return json.loads(self.manage("shell", "-v0", "-c", FACTS.format(run=run)).stdout.splitlines()[-1])

    def ends(self, run, *statuses, seconds=60):
        """Wait until the run stands so; it must get there by itself."""
        deadline = time.monotonic() + seconds
        while (facts := self.facts(run))["status"] not in statuses:
            assert time.monotonic() < deadline, f"{facts}\n{self.output.read_text()[-3000:]}"
            time.sleep(0.3)
        return facts


def sqlite(directory):
    return {}


def postgresql(directory):
    """A database of its own on the server that the suite runs on."""
    parts = urlsplit(os.environ["DATABASE_URL"])
    name = f"crash_{uuid.uuid4().hex}"
    server = psycopg2.connect(os.environ["DATABASE_URL"])
    server.autocommit = True
    server.cursor().execute(f'CREATE DATABASE "{name}"')
    server.close()
    return {"DATABASE_URL": urlunsplit(parts._replace(path=f"/{name}"))}


@pytest.fixture(params=[sqlite, postgresql])
def service(request, tmp_path):
    if request.param is postgresql and not os.environ.get("DATABASE_URL", "").startswith("postgres"):
        pytest.skip("DATABASE_URL names no PostgreSQL server")
    kept = {name: value for name, value in os.environ.items() if name != "DATABASE_URL" and "METABUILDER" not in name}
    own = {
        "METABUILDER_DATA_DIR": str(tmp_path / "data"),
        "METABUILDER_LEASE_SECONDS": "3",
        "METABUILDER_RECONCILE_SECONDS": "0.5",
        "METABUILDER_LOG_LEVEL": "INFO",
    }
    installation = Installation(tmp_path, kept | own | request.param(tmp_path))
    installation.manage("migrate", "-v0")
    installation.start_worker()
    yield installation
    installation.stop()


@pytest.fixture
def log(tmp_path):
    return tmp_path / "log"


def wait_for(log, text, seconds=30):
    deadline = time.monotonic() + seconds
    while not log.exists() or text not in log.read_text():
        assert time.monotonic() < deadline, f"no {text!r} in the log"
        time.sleep(0.02)


def copies(log):
    """The pids of the step's copies in the order of their starts, after checking that no two lived at once."""
    lines = [line.split() for line in log.read_text().splitlines()]
    order = list(dict.fromkeys(pid for _, pid in lines))
    assert [pid for _, pid in lines] == sorted((pid for _, pid in lines), key=order.index), "two copies at once"
    return order


def beats(log):
    return BEATS.replace("LOG", str(log))


def verify_audit(service):
    assert service.manage("verify_audit").returncode == 0


def test_kill9__whole_worker_group_in_a_step__finishes_after_a_restart(service, log):
    run = service.start_run({"name": "a", "run": "true"}, {"name": "b", "run": beats(log)})
    wait_for(log, "beat")
    service.kill_worker()
    size_then = len(log.read_text())
    time.sleep(0.5)
    assert len(log.read_text()) <= size_then + 60  # the step died with its engine
    service.start_worker()
    facts = service.ends(run, "succeeded")
    assert facts["outcome"] == "clean"
    assert facts["executions"] == [["a", "build", "exited"], ["b", "build", "lost"], ["b", "build", "exited"]]
    assert (facts["attempts"], facts["spent"]) == ([], [0, 0, {}])
    assert len(copies(log)) == 2
    assert log.read_text().count("end") == 1
    verify_audit(service)


def test_kill9__only_the_busy_process__finishes_without_a_restart(service, log):
    run = service.start_run({"name": "b", "run": beats(log)})
    wait_for(log, "beat")
    os.kill(int(service.facts(run)["owner"].rpartition(":")[2]), signal.SIGKILL)
    facts = service.ends(run, "succeeded")
    assert facts["executions"] == [["b", "build", "lost"], ["b", "build", "exited"]]
    assert facts["spent"] == [0, 0, {}]
    assert len(copies(log)) == 2
    verify_audit(service)


def test_kill9__in_a_retry__the_attempt_is_spent_once(service, log):
    fails_once = f"mkdir -p .scratch; if [ ! -e .scratch/x ]; then touch .scratch/x; {says(CUT_OFF)}; fi; "
    step = {"name": "b", "run": fails_once + beats(log), "retry": {"TRANSIENT": {"base_delay": 0.1}}}
    run = service.start_run(step)
    wait_for(log, "beat")
    service.kill_worker()
    service.start_worker()
    facts = service.ends(run, "succeeded")
    assert facts["attempts"] == [["TRANSIENT", "RETRY", "succeeded"]]
    assert facts["spent"] == [1, 1, {"b": 1}]
    assert facts["executions"] == [["b", "build", "exited"], ["b", "retry", "lost"], ["b", "retry", "exited"]]
    assert len(copies(log)) == 2
    verify_audit(service)


def test_kill9__in_a_backoff__is_retried_when_it_is_due(service, log):
    fails_once = f"mkdir -p .scratch; if [ ! -e .scratch/x ]; then touch .scratch/x; {says(CUT_OFF)}; fi; "
    step = {"name": "b", "run": fails_once + beats(log), "retry": {"TRANSIENT": {"base_delay": 4}}}
    run = service.start_run(step)
    service.ends(run, "waiting_retry")
    service.kill_worker()
    service.start_worker()
    facts = service.ends(run, "succeeded")
    assert (facts["outcome"], facts["spent"]) == ("healed", [1, 1, {"b": 1}])
    assert facts["executions"] == [["b", "build", "exited"], ["b", "retry", "exited"]]
    assert len(copies(log)) == 1
    verify_audit(service)


def test_kill9__at_a_gate__the_approval_still_resumes_it(service, log):
    scan = {"name": "scan", "kind": "security", "run": f"test -e {log}.fine || {{ {says(LEAK)}; }}"}
    run = service.start_run(scan, {"name": "b", "run": beats(log)})
    facts = service.ends(run, "waiting_approval")
    service.kill_worker()
    Path(f"{log}.fine").touch()
    service.start_worker()
    deadline = time.monotonic() + 15
    while "waiting for runs" not in service.output.read_text().split("worker:")[-1]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    time.sleep(2.5)  # its first heartbeat
    service.manage("gates", "approve", facts["gate"])
    facts = service.ends(run, "succeeded")
    assert facts["attempts"] == [["SECURITY", "ESCALATE", "escalated"]]
    assert facts["spent"] == [0, 0, {}]
    assert len(copies(log)) == 1
    verify_audit(service)


def test_kill9__again_and_again__ends_as_our_own_failure(service):
    run = service.start_run({"name": "b", "run": "sleep 60"})
    killed, deadline = set(), time.monotonic() + 90
    while (facts := service.facts(run))["status"] != "failed":
        assert time.monotonic() < deadline, facts
        holder = facts["owner"].rpartition(":")[2]
        # A holder that has begun, each once: a run that nobody survives.
        if holder and holder not in killed and facts["executions"][-1:] == [["b", "build", ""]]:
            os.kill(int(holder), signal.SIGKILL)
            killed.add(holder)
    assert len(killed) == 5
    assert "our own failure" in facts["note"]
    assert facts["outcome"] == ""
    assert facts["attempts"] == []
    verify_audit(service)


def test_sigterm__in_a_step__ends_soon_and_the_next_worker_finishes(service, log):
    run = service.start_run({"name": "b", "run": f"[ -e {log} ] || {{ echo begin $$ > {log}; sleep 90; }}"})
    wait_for(log, "begin")
    service.worker.terminate()
    service.worker.wait(30)
    with pytest.raises(ProcessLookupError):
        os.kill(int(log.read_text().split()[1]), 0)
    service.start_worker()
    facts = service.ends(run, "succeeded")
    assert facts["executions"] == [["b", "build", "lost"], ["b", "build", "exited"]]
    assert facts["spent"] == [0, 0, {}]
