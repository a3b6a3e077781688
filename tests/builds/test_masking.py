from __future__ import annotations

import pytest

from metabuilder.builds.masking import MASK, masked_delta, masked_plan, names_a_secret
from metabuilder.builds.plan_diff import diff


@pytest.mark.parametrize("name", ["API_TOKEN", "npm_password", "AWS_SECRET_ACCESS_KEY", "GH_PAT", "KEY", "BASIC_AUTH"])
def test_names_a_secret__credential__does(name):
    assert names_a_secret(name)


@pytest.mark.parametrize("name", ["TZ", "MODE", "KEYBOARD", "PATH", "DISPATCH"])
def test_names_a_secret__anything_else__does_not(name):
    assert not names_a_secret(name)


def body(*envs):
    return {"name": "p", "steps": [{"name": f"s{n}", "run": "x", "env": env} for n, env in enumerate(envs)]}


def test_masked_plan__secret_values__are_hidden_and_nothing_else():
    plan = body({"API_TOKEN": "tok-1", "MODE": "fast", "EMPTY_TOKEN": ""}, {})
    assert masked_plan(plan) == body({"API_TOKEN": MASK, "MODE": "fast", "EMPTY_TOKEN": ""}, {})
    assert plan["steps"][0]["env"]["API_TOKEN"] == "tok-1"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(body({"API_TOKEN": "tok-1"}), body({"API_TOKEN": "tok-2"}), id="changed value"),
        pytest.param(body({"MODE": "a"}), body({"MODE": "a", "API_TOKEN": "tok-2"}), id="added value"),
        pytest.param(
            {"name": "p", "steps": [{"name": "s0", "run": "x"}]}, body({"API_TOKEN": "tok-2"}), id="whole env"
        ),
        pytest.param(body({}), body({}, {"API_TOKEN": "tok-2"}), id="whole step"),
        pytest.param({"name": "p"}, body({"API_TOKEN": "tok-2"}), id="all steps"),
        pytest.param(body({}), body({"A~B/TOKEN": "tok-2"}), id="escaped name"),
    ],
)
def test_masked_delta__secret_wherever_it_stands__is_hidden(old, new):
    exact = diff(old, new)
    assert "tok-2" in str(exact)
    shown = masked_delta(exact)
    assert "tok-" not in str(shown)
    assert MASK in str(shown)
    assert [(each["op"], each["path"]) for each in shown] == [(each["op"], each["path"]) for each in exact]


def test_masked_delta__no_secret__is_exact():
    exact = diff(body({"MODE": "a"}, {"TZ": "UTC"}), body({"MODE": "b"}, {}))
    assert masked_delta(exact) == exact
