"""Opening the session of a leased run: its workspace, and what an earlier holder left half done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings as django_settings
from django.db import transaction
from django.utils import timezone

from autofix import budgets
from autofix.policy import RetryPolicy, policy_from_settings
from autofix.progress import Progress, Silent
from autofix.session import RunSession
from metabuilder.builds.errors import MetabuilderError
from metabuilder.builds.leases import Lease
from metabuilder.builds.leftovers import end_leftovers
from metabuilder.builds.models import BuildRun, StepExecution
from metabuilder.builds.plans import Effects
from metabuilder.builds.states import ENDED_RUNS, ExecutionEnd, RunStatus, StepStatus
from metabuilder.builds.transitions import move_step
from metabuilder.builds.workspace_errors import WorkspaceMissing
from metabuilder.builds.workspaces import Workspace
from settings_flags.services import effective_settings

# So many processes in a row died with a run, or lost their database: it is the run that does it.
MAX_LOST_HOLDERS = 5


class HoldersDied(MetabuilderError):
    """The run is ended rather than taken up once more."""

    code, http_status = "holders_died", 500

    def __init__(self, number: int) -> None:
        super().__init__(f"{number} processes in a row died, or lost their database, while they worked on this run")


@contextmanager
def opened(
    lease: Lease, *, progress: Progress | None, wait: bool, policy: RetryPolicy | None
) -> Iterator[RunSession | None]:
    """Open the session of a leased run, after ending what an earlier holder left. None: nothing is to do now."""
    run = BuildRun.objects.select_related("tenant", "plan").get(pk=lease.run_id)
    if not _may_start(run):
        yield None
        return
    if run.lost_holders >= MAX_LOST_HOLDERS:
        raise HoldersDied(run.lost_holders)
    settings = effective_settings(run)
    own_policy = policy.copy() if policy else policy_from_settings(settings)
    # Processes an earlier holder left on this host must not write beside ours.
    end_leftovers(run.processes, str(run.pk))
    session = RunSession(
        run=run,
        lease=lease,
        workspace=_workspace(run, lease),
        policy=own_policy,
        settings=settings,
        progress=progress or Silent(),
        wait=wait,
    )
    with session:
        _take_over(session)
        yield session


def _may_start(run: BuildRun) -> bool:
    if run.status in ENDED_RUNS or (run.hold and run.status == RunStatus.QUEUED):
        return False
    if run.cancel_requested_at:
        return True
    waits = run.status in {RunStatus.WAITING_RETRY, RunStatus.WAITING_APPROVAL}
    return not waits or run.wake_at is not None


def _workspace(run: BuildRun, lease: Lease) -> Workspace:
    """Open the run's workspace, make it, or make it anew from its checkpoints; then the steps start over."""
    data_dir, run_id = django_settings.METABUILDER_DATA_DIR, str(run.pk)
    try:
        return Workspace.open(data_dir=data_dir, run_id=run_id)
    except WorkspaceMissing:
        pass
    allow_local = run.foreground or django_settings.METABUILDER_ALLOW_LOCAL_SOURCES or run.tenant.slug == "local"
    workspace = Workspace.create(
        data_dir=data_dir,
        run_id=run_id,
        source=run.source,
        ref=run.ref or None,
        include_worktree=run.include_worktree,
        allow_local=allow_local,
    )
    with transaction.atomic():
        lease.hold()
        BuildRun.objects.filter(pk=run.pk).update(
            base_commit=workspace.base_commit, head_commit=workspace.head_commit, branch=workspace.branch
        )
        # What left the workspace has happened, wherever the files are.
        outside = [spec.name for spec in run.plan.plan().steps if spec.effects is Effects.EXTERNAL]
        again = run.steps.exclude(status=StepStatus.SKIPPED).exclude(status=StepStatus.SUCCEEDED, name__in=outside)
        again.update(status=StepStatus.PENDING)
    run.refresh_from_db()
    return workspace


def _take_over(session: RunSession) -> None:
    """Put right what a holder that died left half done. Its executions are lost: no signal and no attempt."""
    run, workspace = session.run, session.workspace
    if run.status == RunStatus.RUNNING:
        workspace.recover()
    known = run.head_commit or workspace.base_commit
    if workspace.head_commit != known:  # a fix commit, or a revert, that its transaction does not know of is none
        workspace.return_to(known)
    lost = StepExecution.objects.filter(step__run=run, end="")
    with transaction.atomic():
        session.lease.hold()
        lost.update(end=ExecutionEnd.LOST, finished_at=timezone.now())
        for step in run.steps.filter(status=StepStatus.RUNNING):
            move_step(step, StepStatus.PENDING, lease=session.lease)
        budgets.supersede_pending(run, step__status=StepStatus.FAILED)
