"""What a gate shows and is bound to."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from django.core.management import call_command

from autofix.decision import Candidate, Strategy
from autofix.fixers.base import Proposal
from autofix.models import AutoFixRun
from metabuilder.audit.models import AuditEvent
from metabuilder.builds.masking import MASK
from metabuilder.builds.models import ScaffoldPlan
from metabuilder.builds.plans import parse_plan
from tests.engine import FINDING, Editing, Told, plug_in, says, start, writes

pytestmark = pytest.mark.django_db(transaction=True)
SECRET = "tok-Zw81kQp4Lm"


def sets_a_token(bench, failure):
    body = failure.plan.to_json()
    body["steps"][0]["env"] = {"API_TOKEN": SECRET, "MODE": "fast"}
    yield Proposal(summary="Set the token", plan=parse_plan(body))


@pytest.fixture
def wants_a_token(tmp_path, monkeypatch):
    """A run at the gate of a plan change that brings a secret."""
    plug_in(monkeypatch, Editing(sets_a_token, strategy=Strategy.REPLAN))
    run = f'test "$API_TOKEN" = "$(cat wanted.txt)" || {{ {says(FINDING)}; }}'
    build = start(tmp_path, [{"name": "lint", "kind": "lint", "run": run}], {"wanted.txt": SECRET})
    build.go()
    assert build.gate.action["type"] == "apply_plan"
    return build


def test_gate__plan_with_a_secret__is_bound_to_it_and_does_not_hold_it(wants_a_token):
    gate = wants_a_token.gate
    assert MASK in str(gate.action["delta"])
    assert "fast" in str(gate.action["delta"])
    stored = ScaffoldPlan.objects.get(pk=gate.action["plan_id"])
    assert stored.plan().digest == gate.action["plan_digest"]
    assert stored.body["steps"][0]["env"]["API_TOKEN"] == SECRET
    out = StringIO()
    call_command("gates", "show", str(gate.pk), "--json", stdout=out)
    call_command("gates", "show", str(gate.pk), stdout=out)
    for text in (json.dumps(gate.action), gate.body, gate.title, out.getvalue()):
        assert SECRET not in text


def test_gate__approved_plan_with_a_secret__runs_with_it_and_tells_nobody(wants_a_token):
    build, told = wants_a_token, Told()
    plans = ScaffoldPlan.objects.count()
    build.approve()
    run = build.go(progress=told)
    assert (run.status, run.outcome) == ("succeeded", "healed")
    assert run.plan.body["steps"][0]["env"]["API_TOKEN"] == SECRET
    assert ScaffoldPlan.objects.count() == plans  # the version that the gate was bound to
    delta = run.plan_deltas.get().delta_data
    (shown,) = [facts["plan_delta"].delta_data for event, facts in told.events if event == "fixed"]
    audited = AuditEvent.objects.get(event_type="autofix.replanned").payload["delta"]
    for operations in (delta, shown, audited):
        assert MASK in str(operations)
        assert SECRET not in str(operations)


@pytest.mark.parametrize("tamper", ["changed", "gone"])
def test_gate__stored_plan_is_not_what_was_approved__is_not_performed(wants_a_token, tamper):
    build = wants_a_token
    stored = ScaffoldPlan.objects.filter(pk=build.gate.action["plan_id"])
    build.approve()
    if tamper == "gone":
        stored.delete()
    else:
        body = stored.get().body
        body["steps"][0]["run"] = "true"
        stored.update(body=body)
    run = build.go()
    assert run.outcome != "healed"
    assert run.plan.body["steps"][0]["run"] != "true"
    assert "no longer what was approved" in str(AutoFixRun.objects.filter(run=run).earliest("created_at").decision)


class Installing(Editing):
    """A bold candidate that names what it would install."""

    def __init__(self, edit, packages):
        super().__init__(edit)
        self.packages = packages

    def candidates(self, failure):
        return [
            Candidate(
                key="test:install",
                fixer=self.name,
                strategy=Strategy.PATCH,
                title="install what is missing",
                gate_reason="nobody vouches for leftpad",
                details={"packages": self.packages},
            )
        ]


@pytest.fixture
def wants_a_package(tmp_path, monkeypatch):
    fixer = Installing(writes("app.py", "x = 2\n"), ["leftpad"])
    plug_in(monkeypatch, fixer)
    build = start(tmp_path, [{"name": "lint", "kind": "lint", "run": f"grep -q 2 app.py || {{ {says(FINDING)}; }}"}])
    build.go()
    return build, fixer


def test_gate__bold_candidate__says_what_happens_and_what_it_names(wants_a_package):
    build, _ = wants_a_package
    gate, out = build.gate, StringIO()
    assert (gate.kind, gate.action["type"]) == ("patch", "try_candidate")
    call_command("gates", "show", str(gate.pk), stdout=out)
    shown = out.getvalue()
    for part in ("install what is missing", "Packages: leftpad", "nobody vouches for leftpad", "committed"):
        assert part in shown
    build.approve()
    assert build.go().outcome == "healed"


def test_gate__candidate_names_something_else_by_now__is_not_tried(wants_a_package):
    build, fixer = wants_a_package
    build.approve()
    fixer.packages = ["leftpad", "rightpad"]
    build.go()
    assert (build.root / "app.py").read_text() == "x = 1\n"
    assert build.outcomes()[0][2] == "failed"
