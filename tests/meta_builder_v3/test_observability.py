"""After a healed, a gated and approved, and a rolled-back run: every metric, log field and audit event, by value."""

from __future__ import annotations

import logging
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection
from prometheus_client.parser import text_string_to_metric_families

from autofix.decision import Strategy
from autofix.failures import FailureType
from autofix.fixers.base import Proposal
from autofix.replanning import with_install_step
from metabuilder.audit.models import AuditEvent
from metabuilder.builds.models import BuildRun
from metabuilder.builds.runs import request_cancel
from settings_flags.services import set_run_settings
from tests.audit.triggers import without_triggers
from tests.engine import ASSERTION, CUT_OFF, FINDING, LEAK, Editing, fails_times, plug_in, says, start, writes

pytestmark = pytest.mark.django_db(transaction=True)
MISSING = says("bash: line 1: frobnicate: command not found", 127)


def install(bench, failure):
    plan = with_install_step(failure.plan, "python3 -m venv --without-pip .venv", before="use")
    yield Proposal(summary="Install it", plan=plan)


def healed(tmp_path):
    steps = [
        {"name": "fetch", "run": fails_times(1, CUT_OFF)},
        {"name": "lint", "kind": "lint", "run": f"grep -q 2 app.py || {{ {says(FINDING)}; }}"},
        {"name": "use", "run": f"test -e .venv/bin/python3 || {{ {MISSING}; }}"},
    ]
    build = start(tmp_path / "healed", steps)
    assert build.go().outcome == "healed"
    return build


def approved(tmp_path):
    steps = [{"name": "scan", "kind": "security", "run": f"test -e .scratch/fine || {{ {says(LEAK)}; }}"}]
    build = start(tmp_path / "approved", steps)
    build.go()
    (build.root / ".scratch").mkdir()
    (build.root / ".scratch/fine").touch()
    build.approve()
    assert build.go().status == "succeeded"
    return build


def rolled_back(tmp_path):
    build = start(tmp_path / "rolled_back", [{"name": "test", "kind": "test", "run": says(ASSERTION)}])
    assert build.go().status == "rolled_back"
    return build


@pytest.fixture
def plugged(monkeypatch):
    plug_in(
        monkeypatch,
        fixer := Editing(writes("app.py", "x = 2\n"), types={FailureType.LINT}),
        planner := Editing(install, types={FailureType.INFRA}, strategy=Strategy.REPLAN, key="test:plan"),
    )
    fixer.name, planner.name = "test.fixer", "test.planner"
    for one in (fixer, planner):
        one.candidate = type(one.candidate)(
            key=one.candidate.key, fixer=one.name, strategy=one.candidate.strategy, title="edit it", risk=3
        )


def metrics(client):
    """Every sample of the page: {(name, labels): value}."""
    page = client.get("/metrics").content.decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def test_metrics__after_the_three_runs__have_their_values(tmp_path, plugged, client):
    before = metrics(client)
    runs = [healed(tmp_path), approved(tmp_path), rolled_back(tmp_path)]
    now = metrics(client)

    def grew(name, **labels):
        key = (name, tuple(sorted(labels.items())))
        return now[key] - before.get(key, 0)

    def attempts(signal_type, outcome):
        return grew("autofix_attempts_total", signal_type=signal_type, outcome=outcome)

    assert attempts("TRANSIENT", "succeeded") == 1
    assert attempts("LINT", "succeeded") == 1
    assert attempts("INFRA", "succeeded") == 1
    assert attempts("SECURITY", "escalated") == 1
    assert attempts("TEST_ASSERT", "failed") == 1
    assert attempts("TEST_ASSERT", "rolled_back") == 1
    assert grew("autofix_backoff_seconds_count") == 1
    assert grew("autofix_backoff_seconds_sum") == pytest.approx(runs[0].attempts[0].backoff)
    assert grew("autofix_replans_total") == 1
    assert grew("approval_requests_total", status="pending") == 1
    assert grew("approval_requests_total", status="approved") == 1
    assert grew("approval_requests_total", status="rejected") == 0
    # 3 of 5: the escalated one is left out.
    assert now["autofix_success_ratio", ()] == pytest.approx(0.6)
    executions = sum(len(run.executions()) for run in runs)
    assert grew("autofix_operation_seconds_count", operation="execute_step") == executions
    assert grew("autofix_operation_seconds_count", operation="roll_back") == 1
    assert grew("autofix_operation_seconds_count", operation="prove") == 2
    for operation in ("classify", "propose"):
        assert grew("autofix_operation_seconds_count", operation=operation) >= 5


def test_success_ratio__no_attempt_yet__has_no_series(client):
    assert ("autofix_success_ratio", ()) not in metrics(client)


def test_log_lines__of_every_attempt__carry_every_field(tmp_path, plugged, caplog):
    caplog.set_level(logging.DEBUG, logger="autofix")
    for build in (healed(tmp_path), rolled_back(tmp_path)):
        run = BuildRun.objects.select_related("tenant").get(pk=build.run.pk)
        lines = [r for r in caplog.records if r.name == "autofix" and getattr(r, "run_id", "") == str(run.pk)]
        assert {(line.tenant, line.trace_id) for line in lines} == {("local", run.pk.hex)}
        for attempt in build.attempts:
            said = [
                (line.message, line.outcome)
                for line in lines
                if getattr(line, "attempt", None) == attempt.attempt
                and line.step_id == str(attempt.step_id)
                and (line.signal_type, line.strategy) == (attempt.signal_type, attempt.strategy)
            ]
            assert said == [("attempt charged", "pending"), ("attempt ended", attempt.outcome)]
        classified = [line for line in lines if line.message == "failure classified"]
        assert classified
        assert all(line.signal_type and line.step_id for line in classified)
        assert [line.message for line in lines].count("step executed") == len(build.executions())


def trail(build):
    """(event, payload) of what was recorded about a run and its gates, in order."""
    subjects = [str(build.run.pk), *(str(gate.pk) for gate in build.run.gates.all())]
    rows = AuditEvent.objects.filter(subject_id__in=subjects).order_by("seq")
    return [(row.event_type, row.payload, row.actor_name) for row in rows]


def test_audit__healed_run__says_what_was_decided_and_changed(tmp_path, plugged):
    build = healed(tmp_path)
    events = trail(build)
    assert [event for event, *_ in events] == [
        "run.created",
        "autofix.classified",
        "autofix.retry",
        "autofix.classified",
        "autofix.patch_applied",
        "autofix.classified",
        "autofix.replanned",
    ]
    created, classified, retry, _, patched, _, replanned = (payload for _, payload, _ in events)
    assert (created["source"], len(created["plan"])) == (str(build.source), 64)
    assert (classified["step"], classified["type"], classified["message"]) == ("fetch", "TRANSIENT", CUT_OFF)
    assert (retry["step"], retry["signal_type"], retry["attempt"]) == ("fetch", "TRANSIENT", 1)
    assert (patched["step"], patched["fixer"], patched["attempt"]) == ("lint", "test.fixer", 1)
    assert patched["commit"] == build.workspace.fixes()[0]
    assert patched["proof"] == "lint passes"
    assert replanned["triggered_by"] == "test.planner"
    assert replanned["delta"] == build.run.plan_deltas.get().delta_data
    assert [actor for *_, actor in events[1:]] == ["system"] * 6


def test_audit__approved_and_rejected_gates__say_who_decided(tmp_path, plugged):
    build = approved(tmp_path)
    user = build.run.created_by.username
    events = trail(build)
    assert [event for event, *_ in events] == [
        "run.created",
        "autofix.classified",
        "autofix.escalated",
        "approval.granted",
    ]
    assert (events[2][1]["step"], events[2][1]["signal_type"]) == ("scan", "SECURITY")
    granted, actor = events[3][1:]
    assert actor == user
    assert (granted["run"], granted["kind"], granted["self_approval"]) == (str(build.run.pk), "security", True)
    assert granted["action_hash"] == build.gate.action_hash

    other = start(tmp_path / "rejected", [{"name": "scan", "kind": "security", "run": says(LEAK)}])
    other.go()
    other.reject("not so")
    other.go()
    assert [event for event, *_ in trail(other)][-2:] == ["approval.rejected", "autofix.rolled_back"]
    assert trail(other)[-2][1]["comment"] == "not so"
    assert "not so" in trail(other)[-1][1]["reason"]


def test_audit__fix_that_needs_a_person__is_escalated_once(tmp_path, monkeypatch):
    plug_in(monkeypatch, Editing(writes("CODEOWNERS", "* @team\n")))
    check = f"test -s CODEOWNERS || {{ {says(FINDING)}; }}"
    build = start(tmp_path, [{"name": "lint", "kind": "lint", "run": check}], {"CODEOWNERS": ""})
    build.go()
    assert [event for event, *_ in trail(build)] == ["run.created", "autofix.classified", "autofix.escalated"]
    assert "CODEOWNERS" in trail(build)[-1][1]["reason"]


def test_audit__rolled_back_run__says_why(tmp_path):
    build = rolled_back(tmp_path)
    assert [event for event, *_ in trail(build)] == [
        "run.created",
        "autofix.classified",
        "autofix.retry",
        "autofix.classified",
        "autofix.rolled_back",
    ]
    assert trail(build)[-1][1]["signal_type"] == "TEST_ASSERT"


def test_audit__retried_cancelled_and_settings__are_on_record(tmp_path):
    build = rolled_back(tmp_path)
    set_run_settings(build.run, {"max_total_attempts": 2}, actor=build.run.created_by)
    call_command("retry_run", str(build.run.pk), stdout=StringIO())
    request_cancel(build.again(), actor=build.run.created_by)
    (changed, retried, cancelled) = trail(build)[-3:]
    assert changed[:2] == (
        "settings.changed",
        {"level": "run", "changes": {"max_total_attempts": {"old": None, "new": 2}}},
    )
    assert retried[:2] == ("run.retried", {"iteration": 2})
    assert cancelled[0] == "run.cancelled"
    assert {changed[2], retried[2], cancelled[2]} == {build.run.created_by.username}


# The trail is provable


def verify():
    out = StringIO()
    try:
        call_command("verify_audit", stdout=out, stderr=StringIO())
    except SystemExit as error:
        return error.code, out.getvalue()
    return 0, out.getvalue()


def sql(statement, event):
    with connection.cursor() as cursor:
        cursor.execute(f"{statement} WHERE tenant = %s AND seq = %s", [event.tenant, event.seq])


def altered(event):
    sql("""UPDATE audit_events SET payload = '{"step": "another"}'""", event)
    return str(event.pk)


def deleted(event):
    sql("DELETE FROM audit_events", event)
    return f"seq {event.seq}"


def inserted(event):
    event.pk, event.seq = None, AuditEvent.objects.filter(tenant=event.tenant).latest("seq").seq + 1
    event._state.adding = True
    event.save(force_insert=True)
    return str(event.pk)


@pytest.mark.parametrize("tamper", [altered, deleted, inserted])
def test_verify_audit__one_row_tampered_with__exits_1_and_names_it(tmp_path, tamper):
    build = rolled_back(tmp_path)
    assert verify()[0] == 0
    victim = AuditEvent.objects.get(event_type="autofix.retry", subject_id=str(build.run.pk))
    with without_triggers(connection):
        named = tamper(victim)
    code, said = verify()
    assert code == 1
    assert named in next(line for line in said.splitlines() if line.startswith("BAD"))
