"""Queue entry points."""

from __future__ import annotations

import logging

from autofix import orchestrator
from metabuilder.builds.errors import LeaseBusy, RunNotFound
from metabuilder.builds.models import BuildRun

logger = logging.getLogger("autofix")


def advance_run(run_id: str) -> None:
    """Go on with a run. Safe to deliver twice or late: advance() re-reads the run under its lease."""
    left_alone = BuildRun.objects.filter(pk=run_id, foreground=True, cancel_requested_at__isnull=True)
    if left_alone.exists():  # a message from before somebody resumed it in the foreground
        logger.info("a command has the run in the foreground", extra={"run_id": run_id})
        return
    try:
        orchestrator.advance(run_id)
    except LeaseBusy:
        logger.info("another holder has the run", extra={"run_id": run_id})
    except RunNotFound:
        logger.info("the run is gone", extra={"run_id": run_id})
