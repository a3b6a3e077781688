"""Python: one environment, what the project declares installed into it, and the tools it configures. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from metabuilder.builds.detection import Files, ReasonedStep, ini_of, step, table, text_of, toml_of
from metabuilder.builds.detection.python_requirements import Declared, declared
from metabuilder.builds.plans import StepKind

_PROJECT_FILES = ("pyproject.toml", "setup.py", "setup.cfg", "tox.ini", "Pipfile", "manage.py")
_TEST_FILE = re.compile(r"(.*/)?(test_[^/]*|[^/]*_test|tests)\.py")
_HIDDEN = re.compile(r"(^|/)(\.[^/]+|node_modules|site-packages|build|dist)/")
# Where a pre-commit configuration pins a tool that nothing else declares, its revision is the version to use.
_PRE_COMMIT_REPOS = {
    "ruff": "ruff-pre-commit",
    "black": "psf/black",
    "mypy": "mirrors-mypy",
    "flake8": "pycqa/flake8",
    "isort": "isort",
}


def steps(files: Files) -> list[ReasonedStep]:
    """[] where nothing says that this is a Python project."""
    wanted = declared(files)
    if not wanted.sources and not any(path in files for path in _PROJECT_FILES) and not _test_files(files):
        return []
    checks = [*_checks(files, wanted), *_django(files), *_tests(files, wanted)]
    missing = [_pinned(files, tool) for tool in _tools(checks) if tool not in wanted.names]
    if not wanted.arguments and not missing and not checks:
        return []
    return [
        step("venv", StepKind.SETUP, "uv venv -q --clear .venv", "a fresh environment for a Python project"),
        *_install(wanted, missing),
        *checks,
    ]


def _install(wanted: Declared, missing: list[str]) -> Iterator[ReasonedStep]:
    arguments = [*wanted.arguments, *missing]
    if arguments:
        reasons = [*wanted.sources, *(f"{tool} is used but not declared" for tool in missing)]
        command = "uv pip install -q " + " ".join(shlex.quote(argument) for argument in arguments)
        yield step("install", StepKind.INSTALL, command, ", ".join(reasons))


def _tools(checks: list[ReasonedStep]) -> list[str]:
    """The distributions whose commands the checks call, in order, each once."""
    called = (re.findall(r"\.venv/bin/(?:python -m )?(pytest|[a-z0-9]+)", check.step.run) for check in checks)
    tools = [tool for names in called for tool in names if tool != "python"]
    tools += ["django" for check in checks if "manage.py" in check.step.run]
    return list(dict.fromkeys(tools))


def _pinned(files: Files, tool: str) -> str:
    text = text_of(files, ".pre-commit-config.yaml")
    repo = re.escape(_PRE_COMMIT_REPOS.get(tool, tool))
    found = re.search(rf"repo:\s*\S*{repo}\S*\s+rev:\s*['\"]?v?([0-9][\w.]*)", text, re.IGNORECASE)
    return f"{tool}=={found[1]}" if found else tool


def _configured(files: Files, tool: str, *own_files: str, section: str = "") -> str:
    """Where the tool is configured, for the reason; "" where it is not."""
    if table(toml_of(files, "pyproject.toml"), "tool", tool):
        return f"[tool.{tool}] in pyproject.toml"
    for path in own_files:
        if path in files:
            return path
    for path in ("setup.cfg", "tox.ini"):
        if ini_of(files, path).has_section(section or tool):
            return f"[{section or tool}] in {path}"
    return ""


def _checks(files: Files, wanted: Declared) -> Iterator[ReasonedStep]:
    hooks = text_of(files, ".pre-commit-config.yaml")

    def reason(tool: str, *own_files: str) -> str:
        where = _configured(files, tool, *own_files)
        declared_by = f"{tool} is declared as a dependency" if tool in wanted.names else ""
        hooked = f"{tool} is a pre-commit hook" if re.search(rf"\bid:\s*{tool}(-check)?\b", hooks) else ""
        return where or declared_by or hooked

    if why := reason("ruff", "ruff.toml", ".ruff.toml"):
        yield step("lint", StepKind.LINT, ".venv/bin/ruff check .", why)
        if table(toml_of(files, "pyproject.toml"), "tool", "ruff", "format") or "id: ruff-format" in hooks:
            yield step("format", StepKind.LINT, ".venv/bin/ruff format --check .", "ruff's formatter is configured")
    if why := reason("flake8", ".flake8"):
        yield step("flake8", StepKind.LINT, ".venv/bin/flake8 --extend-exclude .venv", why)
    if why := reason("black"):
        yield step("black", StepKind.LINT, ".venv/bin/black --check .", why)
    if why := reason("isort", ".isort.cfg"):
        yield step("isort", StepKind.LINT, ".venv/bin/isort --check --diff --skip .venv .", why)
    if why := reason("mypy", "mypy.ini", ".mypy.ini"):
        yield step("types", StepKind.TYPECHECK, f".venv/bin/mypy{_mypy_targets(files)}", why)
    if why := reason("pyright", "pyrightconfig.json"):
        yield step("pyright", StepKind.TYPECHECK, ".venv/bin/pyright", why)


def _mypy_targets(files: Files) -> str:
    """What to check, where mypy's own configuration does not say."""
    configured = table(toml_of(files, "pyproject.toml"), "tool", "mypy")
    sections = [ini_of(files, path) for path in ("mypy.ini", ".mypy.ini", "setup.cfg")]
    options = {
        *configured,
        *(key for section in sections if section.has_section("mypy") for key in section["mypy"]),
    }
    if options & {"files", "packages", "modules"}:
        return ""
    packages = sorted(
        path.split("/")[0]
        for path in files
        if path.count("/") == 1 and path.endswith("/__init__.py") and not path.startswith(("test", ".", "doc"))
    )
    return " src" if any(path.startswith("src/") for path in files) else f" {' '.join(packages) or '.'}"


def _manage_py(files: Files) -> str:
    found = [path for path in files if path.rpartition("/")[2] == "manage.py" and path.count("/") <= 1]
    django = [path for path in found if "django" in text_of(files, path).lower()]
    return min(django, key=len, default="")


def _django(files: Files) -> Iterator[ReasonedStep]:
    if manage := _manage_py(files):
        command = f".venv/bin/python {shlex.quote(manage)} makemigrations --check --dry-run"
        yield step("migrations", StepKind.MIGRATE, command, f"{manage} is Django's: models and migrations must agree")


def _test_files(files: Files) -> list[str]:
    return sorted(path for path in files if _TEST_FILE.fullmatch(path) and not _HIDDEN.search(path))


def _tests(files: Files, wanted: Declared) -> Iterator[ReasonedStep]:
    tests = _test_files(files)
    if not tests:
        return
    contents = [text_of(files, path) for path in tests]
    settings = toml_of(files, "pyproject.toml")
    configured = (
        table(settings, "tool", "pytest") or "pytest.ini" in files or ini_of(files, "tox.ini").has_section("pytest")
    )
    configured = configured or ini_of(files, "setup.cfg").has_section("tool:pytest")
    manage = _manage_py(files)
    if configured or "pytest" in wanted.names:
        why = "pytest is configured" if configured else "pytest is declared as a dependency"
        yield step("test", StepKind.TEST, ".venv/bin/python -m pytest -q", why)
    elif manage:
        folder = manage.rpartition("/")[0]
        command = f".venv/bin/python {shlex.quote(manage)} test" + (f" {shlex.quote(folder)}" if folder else "")
        yield step("test", StepKind.TEST, command, f"{manage} is Django's, and there are tests")
    elif any(re.search(r"^(async )?def test_|^import pytest|^from pytest", text, re.MULTILINE) for text in contents):
        yield step("test", StepKind.TEST, ".venv/bin/python -m pytest -q", f"{tests[0]} is written for pytest")
    elif any("unittest" in text or "TestCase" in text for text in contents):
        yield step("test", StepKind.TEST, _unittest_command(files, tests), f"{tests[0]} is written for unittest")


def _unittest_command(files: Files, tests: list[str]) -> str:
    folder = tests[0].rpartition("/")[0]
    pattern = "" if any(path.rpartition("/")[2].startswith("test") for path in tests) else " -p '*_test.py'"
    if not folder:
        return f".venv/bin/python -m unittest discover -q{pattern}"
    top = " -t ." if f"{folder}/__init__.py" in files else ""
    return f".venv/bin/python -m unittest discover -q -s {shlex.quote(folder)}{top}{pattern}"
