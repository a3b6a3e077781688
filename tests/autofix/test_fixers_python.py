"""Fixers at work on small Python projects: real tools, real environments, the step run again as proof."""

import re
import stat
from datetime import UTC, datetime

import pytest

from autofix.failures import FailureSignal, FailureType
from autofix.fixers import candidates_for, fixer_named
from autofix.fixers.machine import ExecutableBitFixer, TimeoutFixer
from autofix.fixers.missing_tool import InstallStepFixer
from autofix.fixers.moved import MovedDependencyFixer
from autofix.fixers.requirement import RequirementFixer
from autofix.fixers.stubs import StubsFixer
from tests.autofix.bench import heal, make_failure, make_plan, make_project, run_plan


def classify(step, log):
    module = re.search(r"No module named '([\w.]+)'", log)
    details = {"module": module[1]} if module else {}
    return FailureSignal(type=FailureType.RUNTIME, confidence=0.9, message="", details=details)


def fail(bench, plan, *, type=FailureType.RUNTIME, committed_at=None):
    name, result = run_plan(bench, plan)
    details = dict(classify(name, result.output).details)
    return make_failure(bench, plan, name, result.output, type=type, committed_at=committed_at, **details)


@pytest.mark.parametrize(
    ("run", "fixer"),
    [
        (".venv/bin/ruff check app && .venv/bin/ruff format --check app", "python.ruff"),
        ("uv run --no-project -p .venv ruff format --check app", "python.ruff"),
    ],
)
def test_ruff__findings__are_mended_by_the_projects_own_binary(tmp_path, run, fixer):
    config = "[tool.ruff.format]\nquote-style = 'single'\n"
    source = "import os\nx = f'a'\ny = 'it'\n" if "check app &&" in run else "x   =  'a'\n"
    bench = make_project(tmp_path / "p", {"pyproject.toml": config, "app/a.py": source, "app/b.py": "z = 1\n"})
    plan = make_plan(venv="uv venv -q .venv", install="uv pip install -q ruff==0.6.9", lint=run)
    failure = fail(bench, plan, type=FailureType.LINT)
    assert [candidate.fixer for candidate in candidates_for(failure)] == [fixer]
    assert heal(fixer_named(fixer), failure, bench, classify).healed
    assert bench.changed() == ["app/a.py"]
    assert "'a'" in (bench.root / "app/a.py").read_text()


def test_ruff__finding_without_a_fix__cannot_be_fixed(tmp_path):
    bench = make_project(tmp_path / "p", {"a.py": "print(missing)\n"})
    plan = make_plan(venv="uv venv -q .venv", install="uv pip install -q ruff==0.6.9", lint=".venv/bin/ruff check .")
    outcome = heal(fixer_named("python.ruff"), fail(bench, plan, type=FailureType.LINT), bench, classify)
    assert not outcome.healed
    assert "mends none" in outcome.reason
    assert bench.changed() == []


def test_requirement__two_modules_one_after_the_other__both_are_declared(tmp_path):
    files = {
        "requirements.txt": "packaging==24.1\r\n",
        "shop/__init__.py": "import six\nimport dateutil.tz\n",
        "tests/test_shop.py": "import shop\n",
    }
    bench = make_project(tmp_path / "p", files)
    plan = make_plan(
        venv="python3 -m venv .venv",
        install="./.venv/bin/python -m pip install -q -r requirements.txt",
        test=".venv/bin/python -c 'import tests.test_shop'",
    )
    outcome = heal(RequirementFixer(), fail(bench, plan), bench, classify)
    assert outcome.healed
    assert bench.changed() == ["requirements.txt"]
    lines = (bench.root / "requirements.txt").read_bytes().decode().split("\r\n")
    assert [re.sub(r"==.*", "==", line) for line in lines] == ["packaging==", "python-dateutil==", "six==", ""]


PYPROJECT = """\
[project]
name = "shop"  # the name
version = "1"
dependencies = []

[dependency-groups]
dev = [
    "iniconfig",
]

[tool.uv]
package = false
"""


@pytest.mark.parametrize(("importer", "where"), [("shop.py", "dependencies = ["), ("tests/test_shop.py", '    "six",')])
def test_requirement__uv_project__declares_by_use_and_keeps_the_lock_in_step(tmp_path, importer, where):
    files = {"pyproject.toml": PYPROJECT, "shop.py": "", "tests/test_shop.py": "import shop\n"}
    bench = make_project(tmp_path / "p", {**files, importer: "import six\n"})
    bench.run("uv lock -q")
    bench.git("add", "-A")
    bench.git("commit", "-qm", "lock")
    plan = make_plan(install="uv sync -q --locked", test=".venv/bin/python -c 'import shop, tests.test_shop'")
    outcome = heal(RequirementFixer(), fail(bench, plan), bench, classify)
    assert outcome.healed
    assert bench.changed() == ["pyproject.toml", "uv.lock"]
    added = [line[1:] for line in bench.git("diff", "-U0", "pyproject.toml").splitlines() if re.match(r"\+[^+]", line)]
    assert len(added) == 1
    assert added[0].startswith(where)


def test_requirement__name_nobody_vouches_for__needs_a_person(tmp_path):
    bench = make_project(tmp_path / "p", {"requirements.txt": "six\n", "shop.py": "import reqeusts\n"})
    plan = make_plan(install="uv pip install -q -r requirements.txt", test="python3 -c 'import shop'")
    log = "ModuleNotFoundError: No module named 'reqeusts'\n"
    (candidate,) = RequirementFixer().candidates(make_failure(bench, plan, "test", log, module="reqeusts"))
    assert "nobody vouches" in candidate.gate_reason


def test_requirement__newest_release_lacks_the_module__is_declared_with_a_bound(tmp_path):
    bench = make_project(tmp_path / "p", {"requirements.txt": "six\n", "shop.py": "import pkg_resources\n"})
    plan = make_plan(
        venv="uv venv -q .venv", install="uv pip install -q -r requirements.txt", test=".venv/bin/python shop.py"
    )
    outcome = heal(RequirementFixer(), fail(bench, plan), bench, classify)
    assert outcome.healed
    assert re.fullmatch(r"six\nsetuptools<[\d.]+\n", (bench.root / "requirements.txt").read_text())


@pytest.mark.parametrize("module", ["shop.missing", "shop", "distutils.core", "sqlite3"])
def test_requirement__own_or_standard_module__is_no_requirement(tmp_path, module):
    bench = make_project(tmp_path / "p", {"requirements.txt": "six\n", "src/shop/__init__.py": ""})
    plan = make_plan(install="uv pip install -r requirements.txt", test="python3 -c 'import shop'")
    failure = make_failure(bench, plan, "test", f"ModuleNotFoundError: No module named '{module}'\n", module=module)
    assert RequirementFixer().candidates(failure) == ()


def test_moved__module_that_newest_release_dropped__is_held_where_it_is_declared(tmp_path):
    files = {"requirements.txt": "setuptools>=60  # plugins\nsix\n", "shop.py": "import pkg_resources\n"}
    bench = make_project(tmp_path / "p", files)
    plan = make_plan(
        venv="uv venv -q .venv", install="uv pip install -q -r requirements.txt", test=".venv/bin/python shop.py"
    )
    failure = fail(bench, plan, committed_at=datetime(2023, 1, 1, tzinfo=UTC))
    outcome = heal(MovedDependencyFixer(), failure, bench, classify)
    assert outcome.healed
    assert bench.changed() == ["requirements.txt"]
    assert re.fullmatch(r"setuptools>=60,<[\d.]+  # plugins\nsix\n", (bench.root / "requirements.txt").read_text())


def test_moved__dependency_of_a_dependency__is_held_by_a_constraint_that_the_plan_follows(tmp_path):
    bench = make_project(tmp_path / "p", {"shop.py": "import jinja2.filters\n"})
    plan = make_plan(
        venv="uv venv -q .venv", install="uv pip install -q jinja2==2.11.3", test=".venv/bin/python shop.py"
    )
    failure = fail(bench, plan, committed_at=datetime(2021, 7, 1, tzinfo=UTC))
    (candidate,) = [c for c in candidates_for(failure) if c.gate_reason is None]
    assert candidate.key == "python.moved:markupsafe"
    outcome = heal(MovedDependencyFixer(), failure, bench, classify)
    assert outcome.healed
    assert "markupsafe<2.1\n" in (bench.root / "constraints.txt").read_text()
    assert outcome.plan.step("install").env["UV_CONSTRAINT"] == "constraints.txt"
    assert outcome.plan.step("test") == plan.step("test")


def test_moved__pinned_package_calls_what_moved__only_that_is_held(tmp_path):
    files = {"requirements.txt": "openai==1.30.1\n", "shop.py": "import openai\n\nopenai.OpenAI(api_key='x')\n"}
    bench = make_project(tmp_path / "p", files)
    plan = make_plan(
        venv="uv venv -q .venv", install="uv pip install -q -r requirements.txt", test=".venv/bin/python shop.py"
    )
    failure = fail(bench, plan, committed_at=datetime(2024, 5, 20, tzinfo=UTC))
    assert heal(MovedDependencyFixer(), failure, bench, classify).healed
    assert (bench.root / "requirements.txt").read_text() == "openai==1.30.1\nhttpx<0.28\n"


def test_install_step__tool_declared_in_an_extra__is_installed_before_the_step(tmp_path):
    pyproject = '[project]\nname = "shop"\nversion = "1"\n[project.optional-dependencies]\nqa = ["ruff==0.6.9"]\n'
    pyproject += "[tool.setuptools]\npy-modules = []\n"
    bench = make_project(tmp_path / "p", {"pyproject.toml": pyproject, "a.py": "x = 1\n"})
    plan = make_plan(venv="uv venv -q .venv", install="uv pip install -q .", lint=".venv/bin/ruff check a.py")
    outcome = heal(InstallStepFixer(), fail(bench, plan, type=FailureType.INFRA), bench, classify)
    assert outcome.healed
    assert [step.name for step in outcome.plan.steps] == ["venv", "install", "install-more", "lint"]
    assert "[qa]" in outcome.plan.step("install-more").run


@pytest.mark.parametrize(
    ("log", "run", "expected"),
    [
        ("bash: line 1: .venv/bin/ruff: No such file or directory", ".venv/bin/ruff check", "declared"),
        ("/x/.venv/bin/python: No module named ruff", ".venv/bin/python -m ruff check", "declared"),
        ("error: Failed to spawn: `ruff`", "uv run ruff check", "declared"),
        ("bash: line 1: black: command not found", "black .", "gated"),
        ("bash: line 1: gcc: command not found", "gcc x.c", None),
        ("bash: line 1: my-own-thing: command not found", "my-own-thing", None),
    ],
)
def test_install_step__missing_command__declared_or_gated_or_nothing(tmp_path, log, run, expected):
    bench = make_project(tmp_path / "p", {"requirements/lint.txt": "ruff==0.6.9\n"})
    plan = make_plan(venv="uv venv .venv", lint=run)
    found = InstallStepFixer().candidates(make_failure(bench, plan, "lint", log + "\n", type=FailureType.INFRA))
    assert [("gated" if c.gate_reason else "declared") for c in found] == ([expected] if expected else [])


def test_install_step__package_json_tool__runs_npm_ci(tmp_path):
    files = {"package.json": '{"devDependencies": {"typescript": "5"}}', "package-lock.json": "{}"}
    bench = make_project(tmp_path / "p", files)
    plan = make_plan(types="npm run build")
    failure = make_failure(bench, plan, "types", "sh: 1: tsc: not found\n", type=FailureType.INFRA)
    (candidate,) = InstallStepFixer().candidates(failure)
    proposal = next(InstallStepFixer().trials(candidate, failure, bench))
    assert [step.run for step in proposal.plan.steps] == ["npm ci", "npm run build"]


def test_stubs__hint_of_mypy__goes_where_mypy_is_declared(tmp_path):
    files = {"requirements.txt": "six\n", "qa/requirements.txt": "mypy>=1\nruff\n"}
    bench = make_project(tmp_path / "p", files)
    plan = make_plan(install="uv pip install -r requirements.txt -r qa/requirements.txt", types="mypy .")
    log = (
        'a.py:1: error: Library stubs not installed for "yaml"\n'
        'a.py:1: note: Hint: "python3 -m pip install types-PyYAML"\n'
    )
    failure = make_failure(bench, plan, "types", log, type=FailureType.TYPECHECK)
    (candidate,) = StubsFixer().candidates(failure)
    proposal = next(StubsFixer().trials(candidate, failure, bench))
    assert proposal.vouched == ("types-PyYAML",)
    assert (bench.root / "qa/requirements.txt").read_text() == "mypy>=1\nruff\ntypes-PyYAML\n"


def test_executable_bit__script_of_the_project__only_the_mode_changes(tmp_path):
    bench = make_project(tmp_path / "p", {"tools/build.sh": "#!/bin/sh\ntrue\n", "tools/data.txt": "x\n"})
    plan = make_plan(build="cd tools && ./build.sh")
    failure = fail(bench, plan, type=FailureType.INFRA)
    plan = make_plan(build="tools/build.sh")
    failure = fail(bench, plan, type=FailureType.INFRA)
    assert heal(ExecutableBitFixer(), failure, bench, classify).healed
    assert (bench.root / "tools/build.sh").stat().st_mode & stat.S_IXUSR
    assert "old mode 100644\nnew mode 100755" in bench.git("diff")


@pytest.mark.parametrize(
    ("importer", "fixer"),
    [
        ("almanac/days.py", "python.requirement"),
        ("tests/test_days.py", "replan.install"),
        ("docs/conf.py", "replan.install"),
    ],
)
def test_declared_for_development_only__what_the_program_imports__moves_to_its_own_list(tmp_path, importer, fixer):
    files = {
        "requirements/base.txt": "six\n",
        "requirements/dev.txt": "-r base.txt\npython-dateutil>=2.8\n",
        importer: "from dateutil import parser\n",
    }
    bench = make_project(tmp_path / "p", files)
    plan = make_plan(venv="uv venv .venv", install="uv pip install -r requirements/base.txt", test="true")
    failure = make_failure(bench, plan, "test", "ModuleNotFoundError: No module named 'dateutil'\n")
    assert [candidate.fixer for candidate in candidates_for(failure)] == [fixer]
    if fixer == "python.requirement":
        (candidate,) = candidates_for(failure)
        next(fixer_named(fixer).trials(candidate, failure, bench))
        assert (bench.root / "requirements/base.txt").read_text() == "six\npython-dateutil>=2.8\n"


def test_install_step__tool_in_a_dependency_group__is_synced_as_the_plan_syncs(tmp_path):
    bench = make_project(tmp_path / "p", {"pyproject.toml": '[dependency-groups]\nlint = ["ruff==0.8.4"]\n'})
    plan = make_plan(install="uv sync -q --no-install-project --no-default-groups", lint="uv run --no-sync ruff check")
    log = "error: Failed to spawn: ruff\n  cause: No such file or directory (os error 2)\n"
    failure = make_failure(bench, plan, "lint", log, type=FailureType.INFRA)
    (candidate,) = InstallStepFixer().candidates(failure)
    proposal = next(InstallStepFixer().trials(candidate, failure, bench))
    command = "uv sync --inexact -q --no-install-project --no-default-groups --group lint"
    assert [step.run for step in proposal.plan.steps][1] == command


@pytest.mark.parametrize("path", ["tools/data.txt", "/etc/passwd", "../x.sh", "tools/none.sh"])
def test_executable_bit__no_script_of_the_project__is_left_alone(tmp_path, path):
    bench = make_project(tmp_path / "p", {"tools/data.txt": "x\n"})
    plan = make_plan(build=path)
    log = f"bash: line 1: {path}: Permission denied\n"
    assert ExecutableBitFixer().candidates(make_failure(bench, plan, "build", log, type=FailureType.INFRA)) == []


@pytest.mark.parametrize(
    ("lines", "offered"), [([f"test {n} ok" for n in range(40)], True), (["waiting"] * 40, False), ([], False)]
)
def test_timeout__step_that_made_progress__gets_twice_the_time(tmp_path, lines, offered):
    bench = make_project(tmp_path / "p", {})
    plan = make_plan(test={"run": "true", "timeout": 100})
    log = "\n".join([*lines, "", "[metabuilder] step timed out after 100 s", ""])
    failure = make_failure(bench, plan, "test", log, type=FailureType.TRANSIENT)
    found = TimeoutFixer().candidates(failure)
    assert bool(found) is offered
    if found:
        assert next(TimeoutFixer().trials(found[0], failure, bench)).plan.step("test").timeout_seconds == 200
