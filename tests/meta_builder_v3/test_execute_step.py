"""`await MetaBuilderOrchestratorV3().execute_step_with_auto_fix(step, context)`."""

from __future__ import annotations

import warnings

import pytest
from asgiref.sync import async_to_sync

from autofix.orchestrator import LeaseBusy, MetaBuilderOrchestratorV3
from autofix.policy import RetryPolicy
from metabuilder.builds.leases import take_lease
from tests.engine import ASSERTION, CUT_OFF, LEAK, Told, fails_times, says, start

pytestmark = pytest.mark.django_db(transaction=True)


def execute(build, *args, name=None, agent=None):
    step = build.run.steps.get(name=name) if name else build.run.steps.get()
    return async_to_sync((agent or MetaBuilderOrchestratorV3()).execute_step_with_auto_fix)(step, *args)


def test_execute_step__passes__is_clean_and_ends_the_run_of_one_step(tmp_path):
    build = start(tmp_path, [{"name": "s", "run": "true"}])
    assert execute(build, {}) == {
        "success": True,
        "auto_fix_outcome": "clean",
        "signal": None,
        "attempts": [],
        "gate_id": None,
    }
    assert build.again().status == "succeeded"


def test_execute_step__fails_and_is_healed__says_how(tmp_path):
    result = execute(start(tmp_path, [{"name": "s", "run": fails_times(1, CUT_OFF)}]))
    assert (result["success"], result["auto_fix_outcome"], result["gate_id"]) == (True, "healed", None)
    assert (result["signal"]["type"], result["signal"]["message"]) == ("TRANSIENT", CUT_OFF)
    (attempt,) = result["attempts"]
    assert (attempt["step"], attempt["strategy"], attempt["outcome"], attempt["attempt"]) == (
        "s",
        "RETRY",
        "succeeded",
        1,
    )
    assert attempt["backoff"] > 0


def test_execute_step__needs_people__returns_at_the_gate(tmp_path):
    build = start(tmp_path, [{"name": "s", "kind": "security", "run": says(LEAK)}])
    result = execute(build)
    assert (result["success"], result["auto_fix_outcome"]) == (False, "escalated")
    assert result["gate_id"] == str(build.gate.pk)


def test_execute_step__cannot_be_healed__is_rolled_back(tmp_path):
    result = execute(start(tmp_path, [{"name": "s", "kind": "test", "run": says(ASSERTION)}]))
    assert (result["success"], result["auto_fix_outcome"]) == (False, "rolled_back")


def test_execute_step__one_of_several__leaves_the_others_for_later(tmp_path):
    build = start(tmp_path, [{"name": "a", "run": fails_times(1, CUT_OFF)}, {"name": "b", "run": "true"}])
    assert execute(build, name="a")["success"] is True
    assert (build.again().status, build.statuses()) == ("running", {"a": "succeeded", "b": "pending"})
    result = execute(build, name="b")
    assert (result["success"], result["auto_fix_outcome"], result["signal"]) == (True, "clean", None)
    assert (build.again().status, build.run.outcome) == ("succeeded", "healed")


def test_execute_step__policy_of_the_context__goes_before_the_agents_own(tmp_path):
    build = start(tmp_path, [{"name": "s", "run": says(CUT_OFF)}])
    agent = MetaBuilderOrchestratorV3(RetryPolicy(max_retries={"TRANSIENT": 2}))
    execute(build, {"retry_policy": RetryPolicy(max_retries={"TRANSIENT": 0})}, agent=agent)
    assert len(build.executions()) == 1


def test_execute_step__agents_policy__is_a_copy(tmp_path):
    policy = RetryPolicy(max_retries={"TRANSIENT": 1})
    agent = MetaBuilderOrchestratorV3(retry_policy=policy)
    policy.max_retries.clear()
    build = start(tmp_path, [{"name": "s", "run": says(CUT_OFF)}])
    execute(build, agent=agent)
    assert len(build.executions()) == 2


def test_execute_step__progress_of_the_context__is_told(tmp_path):
    told = Told()
    execute(start(tmp_path, [{"name": "s", "run": "true"}]), {"progress": told})
    assert {"step_started", "step_ended"} <= set(told.names())


def test_execute_step__third_argument__is_ignored_with_a_warning(tmp_path):
    build = start(tmp_path, [{"name": "s", "run": "true"}])
    with pytest.warns(DeprecationWarning, match="database session"):
        assert execute(build, {}, object())["success"] is True


def test_execute_step__two_arguments__do_not_warn(tmp_path):
    build = start(tmp_path, [{"name": "s", "run": "true"}])
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)
        execute(build, {})


def test_execute_step__somebody_holds_the_run__is_busy_and_nothing_runs(tmp_path):
    build = start(tmp_path, [{"name": "s", "run": "true"}])
    lease = take_lease(build.run.pk)
    with pytest.raises(LeaseBusy):
        execute(build, {})
    assert build.executions() == []
    lease.release()
    assert execute(build, {})["success"] is True


def test_execute_step__something_of_ours_breaks__the_run_ends_and_the_lease_is_free(tmp_path, monkeypatch):
    build = start(tmp_path, [{"name": "s", "run": "true"}])

    class Broken(Told):
        def tell(self, event, /, **facts):
            raise RuntimeError("the listener broke")

    with pytest.raises(RuntimeError):
        execute(build, {"progress": Broken()})
    assert (build.again().status, build.run.lease_expires_at) == ("failed", None)
