"""What a run came to, as programs read it: the JSON contract of `heal --json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.conf import settings as django_settings

from approvals.rules import GateStatus
from autofix.models import AutoFixRun
from metabuilder.audit.redaction import redact
from metabuilder.builds.errors import MetabuilderError
from metabuilder.builds.logs import stored_log
from metabuilder.builds.models import BuildRun, StepExecution
from metabuilder.builds.states import RunStatus
from metabuilder.builds.workspace_errors import WorkspaceMissing
from metabuilder.builds.workspaces import Workspace

EXIT_STATUS: Mapping[RunStatus, int] = {
    RunStatus.SUCCEEDED: 0,
    RunStatus.FAILED: 1,
    RunStatus.ROLLED_BACK: 1,
    RunStatus.WAITING_APPROVAL: 3,
    RunStatus.CANCELLED: 130,
    # Left unfinished: another process has taken the run over.
    RunStatus.QUEUED: 70,
    RunStatus.RUNNING: 70,
    RunStatus.WAITING_RETRY: 70,
}


def workspace_of(run: BuildRun) -> Workspace | None:
    try:
        return Workspace.inspect(data_dir=django_settings.METABUILDER_DATA_DIR, run_id=str(run.pk))
    except WorkspaceMissing:
        return None


def attempt_record(attempt: AutoFixRun) -> dict[str, Any]:
    return {
        "step": attempt.step.name,
        "signal_type": attempt.signal_type,
        "strategy": attempt.strategy,
        "outcome": attempt.outcome,
        "attempt": attempt.attempt,
        "backoff": attempt.backoff,
    }


def attempt_records(run: BuildRun) -> list[dict[str, Any]]:
    rows = AutoFixRun.objects.filter(run=run, iteration=run.iteration).select_related("step")
    return [attempt_record(row) for row in rows.order_by("created_at")]


def run_report(run: BuildRun | None, *, error: BaseException | None = None) -> dict[str, Any]:
    """Return the contract's object. With `error` it is our own failure: status failed, no outcome."""
    if run:
        run.refresh_from_db()
    workspace = workspace_of(run) if run else None
    cancelled = run is not None and run.status == RunStatus.CANCELLED
    report = {
        "run_id": str(run.pk) if run else None,
        "status": "failed" if error or run is None else run.status,
        "outcome": None if error or cancelled or run is None else run.outcome or None,
        "first_signal": run.first_signal if run else None,
        "workspace": str(workspace.root) if workspace else None,
        "branch": run.branch if run else None,
        "base_commit": run.base_commit if run else None,
        "head_commit": (run.head_commit or run.base_commit) if run else None,
        "attempts": attempt_records(run) if run else [],
        "gates": [str(gate.pk) for gate in run.gates.filter(status=GateStatus.PENDING)] if run else [],
        "note": run.result_note if run else "",
        "delivered": run.delivered if run else "",
    }
    if error is None and run and run.status == RunStatus.FAILED and not run.outcome:
        report["error"] = {"code": "engine", "message": run.result_note}
    if error:
        code = error.code if isinstance(error, MetabuilderError) else type(error).__name__
        report["error"] = {"code": code, "message": redact(str(error))}
    return report


def write_out(run: BuildRun, report: Mapping[str, Any], directory: Path) -> None:
    """Write the report, the fixes as a patch and every execution's log into `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    if workspace := workspace_of(run):
        (directory / "fixes.patch").write_bytes(workspace.patch())
    executions = StepExecution.objects.filter(step__run=run).select_related("step").order_by("started_at")
    for number, execution in enumerate(executions, start=1):
        name = f"{number:03d}-{execution.step.name}-{execution.purpose}.log".replace("/", "_")
        with (directory / name).open("wb") as file:
            file.writelines(stored_log(execution.log_ref).chunks())
