"""Plan diffs: readable, and exact."""

import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metabuilder.builds.plan_diff import PatchDoesNotApply, apply, diff
from metabuilder.builds.plans import StepKind, StepSpec, parse_plan
from tests.builds.test_plans import json_values, plans

PLAN = parse_plan(
    {
        "name": "p",
        "steps": [
            {"name": "venv", "run": "uv venv", "kind": "setup"},
            {"name": "types", "run": "mypy src", "kind": "typecheck"},
            {"name": "test", "run": "pytest", "kind": "test", "env": {"A": "1"}},
        ],
    }
)


def test_diff__step_inserted__is_one_add_at_its_place():
    stubs = StepSpec(name="stubs", kind=StepKind.INSTALL, run="uv pip install types-requests")
    patch = diff(PLAN, PLAN.with_step_inserted(stubs, before="types"))
    assert patch == [{"op": "add", "path": "/steps/1", "value": stubs.to_json()}]


def test_diff__timeout_and_environment_changed__touches_only_these_fields():
    changed = PLAN.with_step_changed("test", timeout_seconds=1800, env={"A": "2", "B": "3"})
    assert diff(PLAN, changed) == [
        {"op": "replace", "path": "/steps/2/env/A", "value": "2"},
        {"op": "add", "path": "/steps/2/env/B", "value": "3"},
        {"op": "add", "path": "/steps/2/timeout", "value": 1800},
    ]


def test_diff__step_removed__is_one_remove():
    new = copy.deepcopy(PLAN.to_json())
    del new["steps"][1]
    assert diff(PLAN, new) == [{"op": "remove", "path": "/steps/1"}]


def test_diff__step_renamed__replaces_the_name_alone():
    assert diff(PLAN, PLAN.with_step_changed("types", name="mypy")) == [
        {"op": "replace", "path": "/steps/1/name", "value": "mypy"}
    ]


def test_diff__equal_plans__is_empty():
    assert diff(PLAN, parse_plan(PLAN.to_json())) == []


@settings(max_examples=200)
@given(plans(), plans())
def test_apply__diff_of_two_plans__gives_the_new_plan(old, new):
    assert apply(old.to_json(), diff(old, new)) == new.to_json()


objects = st.dictionaries(st.text("ab~/", max_size=3), json_values.filter(lambda value: value == value), max_size=4)


@settings(max_examples=300)
@given(objects, objects)
def test_apply__diff_of_any_two_documents__gives_the_new_one_and_leaves_the_old(old, new):
    before = copy.deepcopy(old)
    assert json.dumps(apply(old, diff(old, new)), sort_keys=True) == json.dumps(new, sort_keys=True)
    assert json.dumps(old) == json.dumps(before)


@pytest.mark.parametrize(
    ("operation", "result"),
    [
        ({"op": "move", "from": "/a", "path": "/b/-"}, {"b": [1, 2, 0]}),
        ({"op": "copy", "from": "/b/0", "path": "/c"}, {"a": 0, "b": [1, 2], "c": 1}),
        ({"op": "test", "path": "/b", "value": [1, 2]}, {"a": 0, "b": [1, 2]}),
        ({"op": "replace", "path": "", "value": {}}, {}),
    ],
)
def test_apply__every_operation_of_the_rfc__is_understood(operation, result):
    assert apply({"a": 0, "b": [1, 2]}, [operation]) == result


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "remove", "path": "/nothing"},
        {"op": "replace", "path": "/nothing", "value": 1},
        {"op": "add", "path": "/b/3", "value": 1},
        {"op": "remove", "path": "/b/-"},
        {"op": "remove", "path": "/b/-1"},
        {"op": "remove", "path": "/b/00"},
        {"op": "test", "path": "/a", "value": True},
        {"op": "add", "path": "a", "value": 1},
        {"op": "shred", "path": "/a"},
        {"path": "/a"},
    ],
)
def test_apply__patch_for_another_document__is_refused(operation):
    with pytest.raises(PatchDoesNotApply, match="operation 0"):
        apply({"a": 1, "b": [1, 2]}, [operation])
