"""From the failing step's command to the one that mends, and from a plan's commands to what they install."""

import re

import pytest

from autofix.failures import FailureType
from autofix.fixers import all_fixers, candidates_for, fixer_named
from autofix.fixers.installs import environment, installs
from autofix.fixers.project import expand
from autofix.fixers.shell import parse
from autofix.fixers.style_tools import MODES, calls_of
from tests.autofix.bench import make_failure, make_plan, make_project

MENDING = [
    (".venv/bin/ruff check src", [".venv/bin/ruff check --fix src"]),
    ("python -m ruff check --diff --unsafe-fixes .", ["python -m ruff check --fix ."]),
    ("ruff src", ["ruff --fix src"]),
    ("uv run --group lint ruff format --check --diff .", ["uv run --group lint ruff format ."]),
    ("ruff check . && ruff format --check .", ["ruff check --fix .", "ruff format ."]),
    ("black --check -q pkg || { .venv/bin/black --check pkg; exit 1; }", ["black -q pkg", ".venv/bin/black pkg"]),
    ("cd api && TARGET=py311 poetry run black --check .", ["cd api && TARGET=py311 poetry run black ."]),
    ("isort --check-only --diff 'my pkg'", ["isort 'my pkg'"]),
    ("npx --no-install prettier --check 'src/**/*.ts'", ["npx --no-install prettier --write 'src/**/*.ts'"]),
    ("npx eslint . --max-warnings 0", ["npx eslint --fix . --max-warnings 0"]),
    ('test -z "$(gofmt -l .)"', ["gofmt -w ."]),
    ("cargo fmt --all -- --check", ["cargo fmt --all"]),
    ("ruff check . > report.txt 2>&1", ["ruff check --fix ."]),
    ("if ! black --check .; then exit 1; fi", ["black ."]),
    ("echo ruff check .", []),
    ("uv run --with ruff pytest", []),
    ("cat <<EOF\nruff check .\nEOF", []),
    ("ruff check 'unclosed", []),
]


@pytest.mark.parametrize(("command", "mending"), MENDING)
def test_calls_of__checking_command__mends_the_same_targets(tmp_path, command, mending):
    assert [text for _, text in calls_of(tmp_path, command, ".")] == mending


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: f"{mode.binary} {mode.sub}")
def test_modes__every_row__has_a_valid_pattern_and_never_suppresses(mode):
    re.compile(mode.finds, re.MULTILINE)
    assert not re.search("unsafe|noqa|suppress", mode.add)


def test_calls_of__tool_behind_make_and_npm_and_script__is_found(tmp_path):
    make_project(
        tmp_path / "p",
        {
            "Makefile": "PY ?= python3\nlint: style\n\tcd web && npm run lint\nstyle:\n\t@$(PY) -m black --check src\n",
            "web/package.json": '{"scripts": {"lint": "eslint src"}}',
            "ci/lint.sh": "#!/bin/sh\nset -e\nruff check app\n",
        },
    )
    assert [text for _, text in calls_of(tmp_path / "p", "make lint", ".")] == [
        "python3 -m black src",
        'cd web && export PATH="$PWD/node_modules/.bin:$PATH" && eslint --fix src',
    ]
    assert [text for _, text in calls_of(tmp_path / "p", "npm run lint", "web")] == [
        'export PATH="$PWD/node_modules/.bin:$PATH" && eslint --fix src'
    ]
    assert [text for _, text in calls_of(tmp_path / "p", "./ci/lint.sh", ".")] == ["set -e && ruff check --fix app"]


@pytest.mark.parametrize(
    ("command", "mending"),
    [
        ("make lint", ["python3 -m black src"]),
        ("make lint PYTHON=.venv/bin/python", [".venv/bin/python -m black src"]),
        ("PYTHON=.venv/bin/python make lint", [".venv/bin/python -m black src"]),
        ("bash -euo pipefail -c 'cd src; black --check .'", ["cd src && black ."]),
        ("make -C api lint", ["cd api && api/python -m black app"]),
        ("npm --prefix web run lint", ['cd web && export PATH="$PWD/node_modules/.bin:$PATH" && eslint --fix src']),
        (
            "cd web && npm run lint -- --max-warnings=0",
            ['cd web && export PATH="$PWD/node_modules/.bin:$PATH" && eslint --fix src --max-warnings=0'],
        ),
    ],
)
def test_calls_of__variables_folders_and_arguments_of_a_runner__are_followed(tmp_path, command, mending):
    files = {
        "Makefile": "PYTHON ?= python3\nBLACK = $(PYTHON) -m black\nlint:\n\t$(BLACK) --check src\n",
        "api/Makefile": "lint:\n\tapi/python -m black --check app\n",
        "web/package.json": '{"scripts": {"lint": "eslint src"}}',
    }
    make_project(tmp_path / "p", files)
    assert [text for _, text in calls_of(tmp_path / "p", command, ".")] == mending


def test_parse__operators_quotes_and_substitutions__are_separated():
    commands = parse("A=1 one 'two three' && four $(five \"six )\") | seven; (eight)")
    assert [command.values for command in commands] == [
        ["one", "two three"], ["five", "six )"], ["four", '$(five "six )")'], ["seven"], ["eight"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("command", "files", "packages", "projects", "extras"),
    [
        ("uv pip install -q -r requirements.txt -r dev.txt", ("requirements.txt", "dev.txt"), (), (), ()),
        ("python -m pip install -e '.[test,lint]' pytest==8", (), ("pytest==8",), (".",), ("test", "lint")),
        ("cd api && pip3 install -rreqs/base.txt ./lib", ("api/reqs/base.txt",), (), ("api/lib",), ()),
        (".venv/bin/pip install --index-url https://x/simple flask", (), ("flask",), (), ()),
        ("uv sync --extra docs --group lint", (), (), (".",), ("docs",)),
        ("poetry install --with dev", (), (), (".",), ()),
    ],
)
def test_installs__installing_command__is_read(tmp_path, command, files, packages, projects, extras):
    (found,) = installs(make_plan(install=command), tmp_path)
    assert (found.files, found.packages, found.projects, found.extras) == (files, packages, projects, extras)


@pytest.mark.parametrize("command", ["uv pip uninstall x", "pip freeze", "npm install", "echo pip install x"])
def test_installs__other_command__is_none(tmp_path, command):
    assert installs(make_plan(install=command), tmp_path) == []


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ({"venv": "uv venv -q --clear env", "test": "env/bin/pytest"}, "env"),
        ({"venv": "python3 -m venv build/venv"}, "build/venv"),
        ({"install": "uv pip install x"}, ".venv"),
        ({"test": "./.tools/bin/pytest"}, ".tools"),
        ({"test": "/usr/bin/pytest && node_modules/.bin/x"}, None),
    ],
)
def test_environment__plan__names_it(tmp_path, steps, expected):
    assert environment(make_plan(**steps), tmp_path) == expected


def test_expand__endless_makefile__ends(tmp_path):
    (tmp_path / "Makefile").write_text("a: a\n\tmake a\n")
    assert len(expand(tmp_path, "make a")) <= 4


STRANGE = {
    "requirements.txt": b"\xff\xfe\x00bad",
    "pyproject.toml": b"[project\ndependencies = [",
    "setup.cfg": b"[options\ninstall_requires",
    "setup.py": b"def (",
    "package.json": b"[1, 2",
    "Makefile": b"\x00\xff",
    "manage.py": b"DJANGO_SETTINGS_MODULE(",
    "app/migrations/0001_x.py": b"class Migration(:",
}
LOGS = [
    "ModuleNotFoundError: No module named 'requests'\n",
    "ImportError: cannot import name 'x' from 'y' (/a/site-packages/y/__init__.py)\n",
    "bash: line 1: .venv/bin/ruff: No such file or directory\n",
    "bash: ../../etc/passwd: Permission denied\n",
    "CommandError: Conflicting migrations detected; multiple leaf nodes in the migration graph: "
    "(0002_a, 0002_b in app).\n",
    "no such column: a.b\n",
    'Library stubs not installed for "x"\nnote: Hint: "python3 -m pip install types-x"\n',
    "Try `npm i --save-dev @types/x` if it exists\n",
    "Found 3 errors.\nwould reformat\n",
    "\x00\ud800" * 100,
]


@pytest.mark.parametrize("type_", list(FailureType))
def test_candidates_for__strange_project__never_raises(tmp_path, type_):
    bench = make_project(tmp_path / "p", {})
    for name, content in STRANGE.items():
        (bench.root / name).parent.mkdir(parents=True, exist_ok=True)
        (bench.root / name).write_bytes(content)
    (bench.root / "requirements-dev.txt").symlink_to("requirements-dev.txt")
    (bench.root / "constraints.txt").symlink_to("/etc/hostname")
    plan = make_plan(
        install="uv pip install -r requirements.txt -r requirements-dev.txt . -c constraints.txt",
        test="make lint; npm run x; ruff check . && python manage.py migrate",
    )
    for log in LOGS:
        for candidate in candidates_for(make_failure(bench, plan, "test", log, type=type_)):
            assert fixer_named(candidate.fixer)


def test_all_fixers__names__are_unique_and_found():
    assert len({fixer.name for fixer in all_fixers()}) == len(all_fixers())


@pytest.mark.parametrize("type_", [FailureType.SECURITY, FailureType.POLICY])
def test_candidates_for__what_people_decide__offers_nothing(tmp_path, type_):
    bench = make_project(tmp_path / "p", {"requirements.txt": "six\n"})
    plan = make_plan(install="uv pip install -r requirements.txt", test="ruff check .")
    for log in LOGS[:-1]:
        assert candidates_for(make_failure(bench, plan, "test", log, type=type_)) == []


@pytest.mark.parametrize(
    ("log", "run", "fixers"),
    [
        ("", "black --quiet --check .", ["python.black"]),
        ("\n", "isort -q -c .", ["python.isort"]),
        ("who knows\n", "black --quiet --check .", []),
        ("", "./check.sh", []),
    ],
)
def test_style_tools__unknown_failure__is_theirs_only_where_they_are_silent(tmp_path, log, run, fixers):
    bench = make_project(tmp_path / "p", {})
    failure = make_failure(bench, make_plan(lint=run), "lint", log, type=FailureType.UNKNOWN)
    assert [candidate.fixer for candidate in candidates_for(failure)] == fixers
