"""Derived plans: from what a repository declares, each step with its reason."""

import pytest

from metabuilder.builds.plan_detection import NoPlanFound, Repository, derive_plan
from metabuilder.builds.plans import Effects, StepKind
from metabuilder.builds.repository_view import repository_at

PEP621 = """
[build-system]
requires = ["setuptools"]
[project]
name = "shop"
dependencies = ["requests"]
[project.optional-dependencies]
tests = ["pytest"]
docs = ["sphinx"]
[dependency-groups]
lint = ["ruff==0.6.9"]
[tool.ruff]
line-length = 100
[tool.mypy]
strict = true
"""
MANAGE = "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'site.settings')\n"
PYTEST = "def test_a():\n    assert True\n"
UNITTEST = "import unittest\n\nclass A(unittest.TestCase):\n    pass\n"


def commands(files):
    return {step.name: step.run for step in derive_plan(files).plan.steps}


def test_derive_plan__pep621_project__installs_itself_with_what_its_checks_need():
    files = {"pyproject.toml": PEP621, "src/shop/__init__.py": "", "tests/test_a.py": PYTEST}
    assert commands(files) == {
        "venv": "uv venv -q --clear .venv",
        "install": "uv pip install -q -e '.[tests]' --group lint mypy",
        "lint": ".venv/bin/ruff check .",
        "types": ".venv/bin/mypy src",
        "test": ".venv/bin/python -m pytest -q",
    }


def test_derive_plan__every_step__has_a_reason():
    derived = derive_plan({"pyproject.toml": PEP621, "tests/test_a.py": PYTEST})
    assert len(derived.reasons) == len(derived.plan.steps)
    assert "types: [tool.mypy] in pyproject.toml" in derived.reasons
    assert any("mypy is used but not declared" in reason for reason in derived.reasons)


def test_derive_plan__project_that_is_no_package__installs_its_dependencies_alone():
    files = {"pyproject.toml": '[project]\nname = "a"\ndependencies = ["x"]\n', "test_a.py": PYTEST}
    assert commands(files)["install"] == "uv pip install -q -r pyproject.toml pytest"


def test_derive_plan__poetry_groups__become_plain_requirements():
    files = {
        "pyproject.toml": '[build-system]\nrequires = ["poetry-core"]\n[tool.poetry]\nname = "a"\n'
        '[tool.poetry.dependencies]\npython = "^3.11"\nflask = "^2.1"\n'
        '[tool.poetry.group.dev.dependencies]\npytest = "~7.4"\nblack = "*"\nattrs = {version = "^0.2.3"}\n',
        "tests/test_a.py": PYTEST,
    }
    assert commands(files)["install"] == "uv pip install -q -e . 'pytest>=7.4,<7.5' black 'attrs>=0.2.3,<0.3'"


def test_derive_plan__requirement_files__are_all_installed_but_not_those_for_docs():
    files = dict.fromkeys(
        ["requirements.txt", "requirements-dev.txt", "requirements/test.txt", "docs-requirements.txt"],
        "six\n",
    )
    assert commands(files | {"test_a.py": PYTEST})["install"] == (
        "uv pip install -q -r requirements-dev.txt -r requirements.txt -r requirements/test.txt pytest"
    )


def test_derive_plan__setup_py_with_extras_and_tox__installs_both():
    files = {
        "setup.py": "setup(name='a', extras_require={'dev': ['x'], 'docs': ['y']})",
        "tox.ini": "[testenv]\ndeps =\n    py27: old\n    pytest\n    {env:X}\n[flake8]\nmax-line-length = 90\n",
        "tests/test_a.py": PYTEST,
    }
    found = commands(files)
    assert found["install"] == "uv pip install -q -e '.[dev]' pytest flake8"
    assert found["flake8"] == ".venv/bin/flake8 --extend-exclude .venv"


def test_derive_plan__tool_pinned_by_pre_commit_only__is_installed_in_that_version():
    hooks = (
        "repos:\n- repo: https://github.com/astral-sh/ruff-pre-commit\n"
        "  rev: v0.6.9\n  hooks:\n  - id: ruff\n  - id: ruff-format\n"
    )
    found = commands({".pre-commit-config.yaml": hooks, "setup.py": "", "a.py": ""})
    assert found["install"] == "uv pip install -q -e . ruff==0.6.9"
    assert found["format"] == ".venv/bin/ruff format --check ."
    assert "pre-commit" not in found


def test_derive_plan__unittest_folder__is_discovered():
    assert commands({"tests/test_a.py": UNITTEST, "tests/__init__.py": ""})["test"] == (
        ".venv/bin/python -m unittest discover -q -s tests -t ."
    )
    assert commands({"tests/test_a.py": UNITTEST})["test"] == ".venv/bin/python -m unittest discover -q -s tests"


def test_derive_plan__django_site__checks_its_migrations_and_runs_its_tests():
    derived = derive_plan({"manage.py": MANAGE, "books/tests.py": UNITTEST})
    assert derived.plan.step("install").run == "uv pip install -q django"
    assert derived.plan.step("migrations").run == ".venv/bin/python manage.py makemigrations --check --dry-run"
    assert derived.plan.step("migrations").kind is StepKind.MIGRATE
    assert derived.plan.step("test").run == ".venv/bin/python manage.py test"


@pytest.mark.parametrize(
    ("lock", "install"),
    [
        ("package-lock.json", "npm ci --no-audit --no-fund"),
        ("pnpm-lock.yaml", "pnpm install --frozen-lockfile"),
        ("yarn.lock", "yarn install --frozen-lockfile"),
        ("bun.lockb", "bun install --frozen-lockfile"),
        ("README", "npm install --no-audit --no-fund"),
    ],
)
def test_derive_plan__package_json__uses_the_locks_manager(lock, install):
    package = '{"scripts": {"lint": "eslint .", "test": "jest", "start": "x"}, "dependencies": {"a": "1"}}'
    plan = derive_plan({"package.json": package, lock: ""}).plan
    assert plan.step("install-node").run == install
    assert [step.name for step in plan.steps] == ["install-node", "lint", "test"]
    assert plan.step("test").env == {"CI": "true"}


def test_derive_plan__npms_placeholder_test__is_not_run_and_tsc_is_where_no_script_is():
    package = (
        '{"scripts": {"test": "echo \\"Error: no test specified\\" && exit 1"}, "devDependencies": {"typescript": "5"}}'
    )
    found = commands({"package.json": package, "tsconfig.json": "{}"})
    assert found == {"install-node": "npm install --no-audit --no-fund", "types": "npx tsc --noEmit -p ."}


def test_derive_plan__python_and_node_both_with_lint__names_stay_unique():
    names = list(commands({"ruff.toml": "", "setup.py": "", "package.json": '{"scripts": {"lint": "eslint ."}}'}))
    assert names == ["venv", "install", "lint", "lint-2"]


def test_derive_plan__go_and_rust__use_their_own_tools():
    assert list(commands({"go.mod": "module a\n", "a_test.go": ""})) == [
        "go-modules",
        "go-vet",
        "go-build",
        "go-test",
    ]
    assert commands({"Cargo.toml": "", "Cargo.lock": ""})["cargo-test"] == "cargo test --locked"


def test_derive_plan__pre_commit_alone__is_run_and_may_write():
    plan = derive_plan({".pre-commit-config.yaml": "repos: []\n"}).plan
    assert plan.step("pre-commit").effects is Effects.WORKSPACE


def test_derive_plan__workflow_alone__gives_its_plain_steps_and_never_publishes():
    workflow = """
on: push
jobs:
  build:
    steps:
      - uses: actions/checkout@v4
      - {name: Unit tests, run: make test, working-directory: app}
      - run: echo ${{ secrets.TOKEN }}
      - {run: make extra, if: "github.ref == 'x'"}
      - run: twine upload dist/*
      - {name: Unit tests, run: make lint}
"""
    plan = derive_plan({".github/workflows/ci.yml": workflow}).plan
    assert [(step.name, step.run, step.cwd) for step in plan.steps] == [
        ("Unit tests", "make test", "app"),
        ("Unit tests-2", "make lint", "."),
    ]
    assert [step.kind for step in plan.steps] == [StepKind.TEST, StepKind.LINT]


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"README.md": "hello"},
        {"package.json": "{}"},
        {"package.json": "not json"},
        {"pyproject.toml": "= broken"},
        {".github/workflows/ci.yml": "jobs: ["},
        {".github/workflows/ci.yml": None},
        {".github/workflows/ci.yml": "jobs: {a: {steps: [{run: 3}, 4]}}"},
    ],
)
def test_derive_plan__nothing_to_go_by__says_so(files):
    with pytest.raises(NoPlanFound, match=r"metabuilder\.yaml"):
        derive_plan(files)


def test_derive_plan__same_files__gives_the_same_digest_and_reads_only_what_it_needs():
    files = {"pyproject.toml": PEP621, "tests/test_a.py": PYTEST, "data/large.bin": None}
    read = []

    def text(path):
        read.append(path)
        return files[path]

    first, second = derive_plan(Repository(tuple(files), text)), derive_plan(files)
    assert first.plan.digest == second.plan.digest
    assert "data/large.bin" not in read


def test_repository_at__checkout__leaves_out_environments_links_and_what_is_not_text(tmp_path):
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "setup.py").write_text("")
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.py").write_text("x = 1\n")
    (tmp_path / "blob").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "link.py").symlink_to("/etc/hostname")

    files = repository_at(tmp_path)

    assert sorted(files) == ["blob", "src/a.py"]
    assert files["src/a.py"] == "x = 1\n"
    assert files["blob"] is None
