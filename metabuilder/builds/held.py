"""Runs that were created on hold: letting them go."""

from __future__ import annotations

from django.db import transaction

from metabuilder.builds.errors import MetabuilderError
from metabuilder.builds.models import BuildRun
from metabuilder.builds.queue import enqueue_advance
from metabuilder.builds.states import RunStatus


class RunNotHeld(MetabuilderError):
    """The run was not held, or has been released or cancelled already. Nothing was changed."""

    code, http_status = "run_not_held", 409

    def __init__(self, run_id: object) -> None:
        super().__init__(f"run {run_id} is not on hold")


@transaction.atomic
def release_run(run: BuildRun) -> BuildRun:
    """Start a run that waits on hold. Raises RunNotHeld."""
    held = BuildRun.objects.filter(pk=run.pk, hold=True, status=RunStatus.QUEUED)
    if not held.update(hold=False):  # of two who release it, one wakes it
        raise RunNotHeld(run.pk)
    enqueue_advance(run.pk)
    run.refresh_from_db()
    return run
