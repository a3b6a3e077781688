"""What `execute_step_with_auto_fix` answers where auto-fix had nothing to decide."""

from __future__ import annotations

import pytest
from asgiref.sync import async_to_sync

from autofix.orchestrator import MetaBuilderOrchestratorV3
from metabuilder.builds.errors import RunHeld
from metabuilder.builds.models import BuildRun
from metabuilder.builds.runs import request_cancel
from tests.engine import start

pytestmark = pytest.mark.django_db(transaction=True)


def execute(build):
    return async_to_sync(MetaBuilderOrchestratorV3().execute_step_with_auto_fix)(build.run.steps.get())


def test_execute_step__held_run__is_refused(tmp_path):
    build = start(tmp_path, [{"name": "s", "run": "true"}], hold=True)
    with pytest.raises(RunHeld) as refused:
        execute(build)
    assert (refused.value.code, refused.value.http_status) == ("run_held", 409)
    assert build.executions() == []


def test_execute_step__our_own_failure__has_no_outcome_but_an_error(tmp_path):
    build = start(tmp_path, [{"name": "s", "run": "true"}])
    BuildRun.objects.update(status="failed", outcome="", result_note="our own failure: disk full")
    result = execute(build)
    assert (result["success"], result["auto_fix_outcome"]) == (False, None)
    assert result["error"] == {"code": "engine", "message": "our own failure: disk full"}


def test_execute_step__cancelled_run__has_no_outcome_and_no_error(tmp_path):
    build = start(tmp_path, [{"name": "s", "run": "true"}])
    request_cancel(build.run, actor=build.run.created_by)
    result = execute(build)
    assert result["auto_fix_outcome"] is None
    assert "error" not in result
