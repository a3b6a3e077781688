"""What the tests of whole doors share: a worker on the test's own database, a run at a gate, and people."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from django.db import connection

from approvals.models import ApprovalGate
from metabuilder.builds.models import BuildRun
from metabuilder.builds.queue import enqueue_advance
from settings_flags.services import set_tenant_settings
from tests.engine import RUFF, Build, start
from tests.factories import member

ROOT = Path(__file__).resolve().parents[1]
GATES = "/admin/approvals/approvalgate/"
PASSWORD = "quay-lantern-42"
# What the tenant protects, and a linter wants changed.
PROTECTED = "tariffs/prices.py"
BEFORE = "import json\n\nSEASONS = {'summer': 125, 'winter': 90}\n"
AFTER = "SEASONS = {'summer': 125, 'winter': 90}\n"


def gated_fix(tmp_path) -> Build:
    """A queued run whose linter has findings, with a fix for them that touches a protected path."""
    steps = [
        {"name": "lint", "kind": "lint", "run": f"{RUFF} check --select F ."},
        {"name": "prices", "kind": "test", "run": "grep -q winter tariffs/prices.py"},
    ]
    build = start(tmp_path, steps, {PROTECTED: BEFORE}, foreground=False)
    set_tenant_settings(build.run.tenant, {"protected_paths": ("tariffs/**",)}, actor=build.run.created_by)
    enqueue_advance(build.run.pk)
    return build


def person(tenant, role, name):
    """A member of the staff who can sign in."""
    user = member(tenant, role, username=name, is_staff=True)
    user.set_password(PASSWORD)
    user.save(update_fields=["password"])
    return user


@contextmanager
def worker(settings, directory):
    """`manage.py worker` as a process of its own, on this test's database and data directory."""
    environment = {name: value for name, value in os.environ.items() if "METABUILDER" not in name}
    environment |= {
        "DATABASE_URL": _database_url(),
        "METABUILDER_DATA_DIR": str(settings.METABUILDER_DATA_DIR),
        "METABUILDER_SECRET_KEY": settings.SECRET_KEY,
        "METABUILDER_AUDIT_KEY": settings.METABUILDER_AUDIT_KEY,
        "METABUILDER_WORKERS": "1",
    }
    with (directory / "worker.txt").open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "worker"],
            cwd=ROOT,
            env=environment,
            stdout=out,
            stderr=out,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _database_url() -> str:
    """The address of the test's database, beside the one that the suite was given."""
    name = connection.settings_dict["NAME"]
    if connection.vendor == "sqlite":
        return f"sqlite:///{name}"
    return urlunsplit(urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}"))


def reaches(build, status, directory, *, seconds=60) -> BuildRun:
    """Wait until the worker has brought the run there."""
    deadline = time.monotonic() + seconds
    while (run := build.again()).status != status:
        assert time.monotonic() < deadline, f"{run.status}, {run.result_note}\n{(directory / 'worker.txt').read_text()}"
        time.sleep(0.1)
    return run


def gate_of(build) -> ApprovalGate:
    return ApprovalGate.objects.get(run=build.run)
