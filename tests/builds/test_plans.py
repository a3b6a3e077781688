"""Plans: what the schema accepts, how it says no, and the edits a re-plan makes."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metabuilder.builds.plans import Effects, InvalidPlan, Plan, StepKind, StepSpec, load_plan, parse_plan

EXAMPLE = """
name: acme-api
steps:
  - {name: install, kind: install, run: "uv venv .venv && uv pip install -r requirements.txt", timeout: 600}
  - {name: lint, kind: lint, run: ".venv/bin/ruff check ."}
  - {name: test, kind: test, run: pytest -q, needs: [install], env: {TZ: UTC}, artifacts: [report.xml]}
  - {name: deploy, kind: deploy, run: ./deploy.sh, effects: external, probe: ./up.sh, rollback: ./undo}
"""


def steps(*specs):
    return {"name": "p", "steps": [{"run": "true", **spec} for spec in specs]}


def problems_of(document):
    with pytest.raises(InvalidPlan) as refused:
        parse_plan(document)
    return refused.value.problems


def test_load_plan__yaml_of_the_readme__has_steps_with_defaults_filled_in():
    plan = load_plan(EXAMPLE)

    assert [step.name for step in plan.order()] == ["install", "lint", "test", "deploy"]
    assert plan.step("install").timeout_seconds == 600
    assert plan.step("lint").effects is Effects.NONE
    assert plan.step("lint").timeout_seconds == 900
    assert plan.step("deploy").effects is Effects.EXTERNAL
    assert plan.needs_of(plan.step("lint")) == ("install",)
    assert plan.needs_of(plan.step("test")) == ("install",)


def test_load_plan__json__is_the_same_plan():
    plan = load_plan(EXAMPLE)
    assert load_plan(json.dumps(plan.to_json()), name="plan.json") == plan


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        (
            steps({"name": "install"}, {"name": "test", "needs": ["instal"]}),
            "steps[1].needs[0]: no step named 'instal' (did you mean 'install'?)",
        ),
        (
            steps({"name": "a", "needs": ["b"]}, {"name": "b", "needs": ["a"]}),
            "steps[0].needs: a cycle: a -> b -> a",
        ),
        (steps({"name": "a", "needs": ["a"]}), "steps[0].needs: a cycle: a -> a"),
        (steps({"name": "a", "needs": ["b"]}, {"name": "b"}), "steps[0].needs: a cycle: a -> b -> a"),
        (steps({"name": "a"}, {"name": "a"}), "steps[1].name: 'a' is already the name of steps[0]"),
        (steps({"name": "a", "timout": 3}), "steps[0].timout: unknown key (did you mean 'timeout'?)"),
        ({**steps({"name": "a"}), "stages": []}, "stages: unknown key (did you mean 'steps'?)"),
        (steps({"name": "a", "run": " \n"}), "steps[0].run: the command is empty"),
        (steps({"name": "a", "run": ["ls"]}), "steps[0].run: must be text, not list"),
        (steps({"name": "a", "run": "x\0y"}), "steps[0].run: holds a NUL character"),
        (steps({"name": "a", "run": "echo \ud800"}), "steps[0].run: is not valid Unicode text"),
        (
            steps({"name": "a", "run": "x" * 20_001}),
            "steps[0].run: is 20001 characters long, the limit is 20000",
        ),
        (steps({"name": "a" * 101}), "steps[0].name: is 101 characters long, the limit is 100"),
        (
            steps({"name": "a\nb"}),
            "steps[0].name: must be one line of printable characters without surrounding spaces",
        ),
        (steps({"name": "a", "timeout": 0}), "steps[0].timeout: must be more than 0 and at most 86400"),
        (
            steps({"name": "a", "timeout": float("nan")}),
            "steps[0].timeout: must be more than 0 and at most 86400",
        ),
        (steps({"name": "a", "timeout": 10**400}), "steps[0].timeout: must be more than 0 and at most 86400"),
        (steps({"name": "a", "timeout": "5m"}), "steps[0].timeout: must be a number, not text"),
        (steps({"name": "a", "timeout": True}), "steps[0].timeout: must be a number, not true or false"),
        (
            steps({"name": "a", "cwd": "/etc"}),
            "steps[0].cwd: '/etc' is absolute; it must stay inside the workspace",
        ),
        (steps({"name": "a", "cwd": "a/../../b"}), "steps[0].cwd: 'a/../../b' leaves the workspace"),
        (
            steps({"name": "a", "artifacts": ["x", "../y"]}),
            "steps[0].artifacts[1]: '../y' leaves the workspace",
        ),
        (
            steps({"name": "a", "env": {"A-B": "x"}}),
            "steps[0].env: 'A-B' is not a name for an environment variable",
        ),
        (steps({"name": "a", "env": {"A": True}}), "steps[0].env.A: must be text; put it in quotes"),
        (
            steps({"name": "a", "env": {f"A{n}": "" for n in range(201)}}),
            "steps[0].env: has 201 entries, the limit is 200",
        ),
        (steps({"name": "a", "network": "no"}), "steps[0].network: must be true or false, not text"),
        (
            steps({"name": "a", "retry": {"TRANSENT": {}}}),
            "steps[0].retry: 'TRANSENT' is not a failure type (did you mean 'TRANSIENT'?)",
        ),
        (
            steps({"name": "a", "retry": {"INFRA": {"max_retries": 99}}}),
            "steps[0].retry.INFRA.max_retries: must be at least 0 and at most 20",
        ),
        (steps(*({"name": f"s{n}"} for n in range(201))), "steps: has 201 steps; a plan has 1 to 200"),
        ({"name": "p", "steps": []}, "steps: has 0 steps; a plan has 1 to 200"),
        ({"name": "p"}, "steps: missing"),
        ([], "the plan must be a mapping with name and steps, not list"),
    ],
)
def test_parse_plan__broken_document__names_the_path(document, problem):
    assert problem in problems_of(document)


def test_parse_plan__unknown_kind__lists_the_kinds_and_suggests_one():
    (problem,) = problems_of(steps({"name": "a", "kind": "tests"}))
    assert problem.startswith("steps[0].kind: 'tests' is not one of setup, install")
    assert problem.endswith("(did you mean 'test'?)")


def test_parse_plan__many_problems__reports_all_of_them_in_one_message():
    with pytest.raises(InvalidPlan) as refused:
        parse_plan(steps({"name": "a", "run": ""}, {"name": "b", "timeout": -1}, {"name": "c", "needs": ["x"]}))
    assert len(refused.value.problems) == 3
    assert all(problem in str(refused.value) for problem in refused.value.problems)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: x\nsteps: [", r"metabuilder\.yaml:2:9: "),
        ("name: x\nname: y\n", r"metabuilder\.yaml:2:1: duplicate key 'name'"),
        ("", "is empty"),
        ("[" * 5_000, "nested too deeply"),
        ("a: &a [*a]", "an alias refers to what holds it"),
        ("a: \x01", r"metabuilder\.yaml:1:4: special characters"),
        ("? [a]\n: b", "a key must be text"),
        ("steps: !!python/object/apply:os.system ['true']", "could not determine a constructor"),
        ("x" * 600_000, "larger than 512 KiB"),
        ("a: 1\n---\nb: 2", "expected a single document in the stream"),
    ],
)
def test_load_plan__unreadable_text__says_where(text, message):
    with pytest.raises(InvalidPlan, match=message):
        load_plan(text)


def test_load_plan__alias_bomb__is_refused_before_it_expands():
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    with pytest.raises(InvalidPlan, match="too many values"):
        load_plan("\n".join(rows))


def test_load_plan__json_with_a_duplicate_key__is_refused():
    with pytest.raises(InvalidPlan, match="duplicate key 'run'"):
        load_plan('{"steps": [{"name": "a", "run": "x", "run": "y"}]}', name="plan.json")


def test_load_plan__yaml_scalars_that_look_like_numbers__stay_the_text_that_was_written():
    plan = load_plan("steps: [{name: a, run: b, env: {MODE: 0755, DAY: 2024-01-01, AT: 1:30, ON: on, N: 8080}}]")
    assert plan.steps[0].env == {"MODE": "0755", "DAY": "2024-01-01", "AT": "1:30", "ON": "on", "N": "8080"}


def test_load_plan__merge_keys__share_an_environment():
    plan = load_plan(
        "steps:\n- {name: a, run: x, env: &e {A: one, B: two}}\n- {name: b, run: y, env: {<<: *e, A: three}}"
    )
    assert plan.step("b").env == {"A": "three", "B": "two"}


def test_digest__keys_reordered_and_defaults_spelled_out__is_unchanged():
    short = parse_plan({"name": "p", "steps": [{"name": "a", "run": "x"}, {"name": "b", "run": "y", "kind": "test"}]})
    long = parse_plan(
        {
            "steps": [
                {
                    "run": "x",
                    "name": "a",
                    "kind": "other",
                    "effects": "workspace",
                    "cwd": ".",
                    "timeout": 900.0,
                },
                {
                    "run": "y",
                    "kind": "test",
                    "effects": "none",
                    "needs": ["a"],
                    "env": {},
                    "name": "b",
                    "probe": None,
                },
            ],
            "name": "p",
        }
    )
    assert short.digest == long.digest
    assert short.digest != short.with_step_changed("b", run="z").digest


def test_order__needs_against_the_file_order__runs_what_is_needed_first():
    plan = parse_plan(
        steps(
            {"name": "test", "needs": ["build"]},
            {"name": "build", "needs": []},
            {"name": "lint", "needs": []},
        )
    )
    assert [step.name for step in plan.order()] == ["build", "test", "lint"]


def test_with_step_changed__kind_changed__brings_the_kinds_default_effects():
    plan = parse_plan(steps({"name": "a"}))
    assert plan.with_step_changed("a", kind=StepKind.DEPLOY).step("a").effects is Effects.EXTERNAL


def test_with_step_changed__renamed__needs_follow():
    plan = parse_plan(steps({"name": "a"}, {"name": "b", "needs": ["a"]}))
    assert plan.with_step_changed("a", name="z").step("b").needs == ("z",)


def test_with_step_changed__to_something_invalid__is_refused():
    plan = parse_plan(steps({"name": "a"}))
    with pytest.raises(InvalidPlan, match="the command is empty"):
        plan.with_step_changed("a", run="")


def test_with_step_inserted__before_a_step_with_needs__that_step_waits_for_it():
    plan = parse_plan(steps({"name": "venv"}, {"name": "lint", "needs": ["venv"]}, {"name": "test", "needs": ["venv"]}))
    stubs = StepSpec(name="stubs", kind=StepKind.INSTALL, run="uv pip install types-requests")

    widened = plan.with_step_inserted(stubs, before="lint")

    assert [step.name for step in widened.order()] == ["venv", "stubs", "lint", "test"]
    assert widened.step("lint").needs == ("venv", "stubs")
    assert widened.step("test").needs == ("venv",)


def test_with_step_inserted__an_earlier_step_waits_for_the_target__makes_no_cycle():
    plan = parse_plan(steps({"name": "late", "needs": ["early"]}, {"name": "early", "needs": []}))
    widened = plan.with_step_inserted(StepSpec(name="new", run="true"), before="early")
    assert [step.name for step in widened.order()] == ["new", "early", "late"]


def test_with_step_inserted__name_taken__is_refused():
    plan = parse_plan(steps({"name": "a"}))
    with pytest.raises(InvalidPlan, match="already the name"):
        plan.with_step_inserted(StepSpec(name="a", run="true"), before="a")


words = st.text(st.characters(codec="utf-8", categories=["L", "N", "P"]), min_size=1, max_size=12)
commands = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40).map(lambda text: f"echo {text}")
env_names = st.from_regex(r"[A-Z_][A-Z0-9_]{0,8}", fullmatch=True)


@st.composite
def plans(draw):
    names = draw(st.lists(words, min_size=1, max_size=6, unique=True))
    specs = []
    for index, name in enumerate(names):
        earlier = st.lists(st.sampled_from(names[:index]), unique=True) if index else st.just([])
        specs.append(
            StepSpec(
                name=name,
                kind=draw(st.sampled_from(StepKind)),
                run=draw(commands),
                needs=draw(st.none() | earlier.map(tuple)),
                env=draw(
                    st.dictionaries(
                        env_names, st.text(st.characters(codec="utf-8", exclude_characters="\0")), max_size=3
                    )
                ),
                timeout_seconds=draw(st.floats(0.001, 86_400) | st.integers(1, 86_400).map(float)),
                effects=draw(st.none() | st.sampled_from(Effects)),
                artifacts=tuple(draw(st.lists(st.sampled_from(["a.xml", "out/*.html"]), max_size=2))),
                probe=draw(st.none() | commands),
                rollback=draw(st.none() | commands),
                cwd=draw(st.sampled_from([".", "src", "a/b"])),
                network=draw(st.none() | st.booleans()),
                retry=draw(st.dictionaries(st.sampled_from(["INFRA", "UNKNOWN"]), st.just({"max_retries": 1}))),
            )
        )
    return Plan(name=draw(words), steps=tuple(specs))


@given(plans())
def test_parse_plan__of_a_plans_own_json__gives_an_equal_plan(plan):
    again = parse_plan(json.loads(json.dumps(plan.to_json())))
    assert again == plan
    assert again.digest == plan.digest
    assert [step.name for step in plan.order()] == [step.name for step in plan.steps]


fields = st.sampled_from(
    ["name", "steps", "run", "kind", "needs", "env", "timeout", "cwd", "retry", "INFRA", "network"]
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(fields | st.text(max_size=3), inner, max_size=5),
    max_leaves=25,
)
nearly_plans = st.fixed_dictionaries(
    {
        "steps": st.lists(
            st.fixed_dictionaries(
                {"name": words | json_values, "run": words},
                optional={
                    "needs": json_values,
                    "env": json_values,
                    "retry": json_values,
                    "artifacts": json_values,
                    "kind": json_values,
                    "cwd": json_values,
                    "timeout": json_values,
                },
            ),
            max_size=4,
        )
    }
)


@settings(max_examples=300)
@given(json_values | nearly_plans)
def test_parse_plan__any_json_value__gives_a_plan_or_invalid_plan(document):
    try:
        plan = parse_plan(document)
    except InvalidPlan:
        return
    assert plan.digest


@settings(max_examples=300)
@given(st.text(max_size=60) | st.text("[]{}:,-&*!|>'\"# \nab1", max_size=60))
def test_load_plan__any_text__gives_a_plan_or_invalid_plan(text):
    for name in ("metabuilder.yaml", "plan.json"):
        with pytest.raises(InvalidPlan):
            load_plan(text, name=name)
