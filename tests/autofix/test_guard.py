"""The guard against cheats, and for honest fixes. Each case is one small patch."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autofix.guard import Action, GuardLimits, check_changes
from metabuilder.builds.changes import FileChange

TESTS = '''"""Tests of ordinals."""
import json
import os

import pytest
from unittest import TestCase, mock

from shop.numbers import ordinal


@pytest.mark.parametrize("number, text", [(1, "1st"), (2, "2nd"), (113, "113th")])
def test_ordinal(number, text):
    assert ordinal(number) == text


def test_close():
    assert ordinal.ratio() == pytest.approx(0.5, abs=1e-6)
    with pytest.raises(ValueError):
        ordinal("x")


class OrdinalCase(TestCase):
    def setUp(self):
        self.numbers = json.loads(os.environ.get("NUMBERS", "[1]"))

    def test_first(self):
        self.assertEqual(ordinal(self.numbers[0]), "1st")
        with mock.patch("shop.numbers.suffix") as suffix:
            ordinal(2)
        suffix.assert_called_once_with(2)
'''
CODE = """import collections
import os

import yaml


class Shop:
    name: str = "corner"
    subtitle = None

    def total(self, items: list[int]) -> int:
        result = 0
        for item in items:
            result += item
        return result


def load(path: str) -> dict:
    with open(path) as handle:
        return yaml.safe_load(handle)


def ordinal(number: int) -> str:
    suffix = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{suffix}"
"""
JS_TEST = """import { add } from './add';
describe('add', () => {
  it('adds', () => {
    expect(add(1, 2)).toBe(3);
    expect(add(0, 0)).toBe(0);
  });
  it('throws', () => { expect(() => add()).toThrow(); });
});
"""
GO_TEST = """package add

import "testing"

func TestAdd(t *testing.T) {
	if Add(1, 2) != 3 {
		t.Errorf("no")
	}
}
"""
RUST = """pub fn add(a: i32, b: i32) -> i32 { a + b }

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn adds() { assert_eq!(add(1, 2), 3); }
}
"""
JAVA_TEST = """class AddTest {
  @Test
  void adds() { assertEquals(3, Add.add(1, 2)); }
}
"""
MIGRATION = """from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("books", "0001_initial")]
    operations = [migrations.AddField("book", "subtitle", models.CharField(max_length=50, null=True))]
"""
PYPROJECT = """[project]
name = "shop"
dependencies = ["requests"]
[tool.ruff]
line-length = 100
[tool.mypy]
strict = true
[tool.pytest.ini_options]
addopts = "-q"
[tool.coverage.report]
fail_under = 90
"""
PACKAGE_JSON = """{"name": "shop", "scripts": {"test": "jest", "lint": "eslint ."},
 "devDependencies": {"jest": "29.0.0"}}
"""
TSCONFIG = '{"compilerOptions": {"strict": true}}\n'
SCRIPT = "#!/bin/bash\nset -euo pipefail\nruff check .\npytest -q\n"
MAKEFILE = "test:\n\tpytest -q\nlint:\n\truff check .\n"
REQUIREMENTS = "bleach==6.1.0\nsix\nblack==24.10.0\n"


def change(path, old, new, old_mode="100644", new_mode="100644"):
    def content(side):
        return side.encode() if isinstance(side, str) else side

    old_mode = None if old is None else old_mode
    return FileChange(path, content(old), content(new), old_mode, None if new is None else new_mode)


def swap(text, *pairs):
    """`text` with replacements made, each of which must apply."""
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    return text


def edit(path, text, *pairs):
    return change(path, text, swap(text, *pairs))


def in_tests(*pairs):
    return edit("tests/test_ordinal.py", TESTS, *pairs)


def in_code(*pairs):
    return edit("shop/numbers.py", CODE, *pairs)


ORDINAL = "def test_ordinal(number, text):\n    assert ordinal(number) == text"
CHEATS = [
    # tests that are gone or not collected
    ("test-removed", change("tests/test_ordinal.py", TESTS, None)),
    ("test-removed", change("tests/test_ordinal.py", TESTS, "")),
    ("test-removed", change("tests/__init__.py", "", None)),
    ("test-removed", in_tests(("def test_close", "def check_close"))),
    ("test-removed", in_tests(("def test_close", "def _test_close"))),
    ("test-removed", in_tests(("class OrdinalCase(TestCase)", "class Ordinal(TestCase)"))),
    ("test-changed", in_tests(("class OrdinalCase(TestCase)", "class OrdinalCase"))),
    (
        "test-removed",
        change(
            "shop/checks.py",
            "import unittest\nclass A(unittest.TestCase):\n    def test_a(self): self.fail()\n",
            "import unittest\n",
        ),
    ),
    ("test-removed", change("tests/test_all.py", "from shop.testing import *\nx = 1\n", "x = 1\n")),
    ("test-changed", in_tests(('(2, "2nd"), (113, "113th")', '(2, "2nd")'))),
    # skipped, expected to fail, switched off
    ("test-skipped", in_tests(("def test_close", "@pytest.mark.skip\ndef test_close"))),
    (
        "test-skipped",
        in_tests(("def test_close", "@pytest.mark.skipif(True, reason='later')\ndef test_close")),
    ),
    ("test-skipped", in_tests(("def test_close", "@pytest.mark.xfail(strict=False)\ndef test_close"))),
    (
        "test-skipped",
        in_tests(
            ("import json\n", "import json\nimport unittest\n"),
            ("    def test_first", "    @unittest.skip('x')\n    def test_first"),
        ),
    ),
    (
        "test-skipped",
        in_tests(
            ("TestCase, mock", "TestCase, mock, skip as later"),
            ("class OrdinalCase", "@later('x')\nclass OrdinalCase"),
        ),
    ),
    (
        "test-skipped",
        in_tests(("\n\n@pytest.mark.para", "\npytestmark = pytest.mark.skip\n\n@pytest.mark.para")),
    ),
    ("test-skipped", in_tests(("def test_close():\n", "def test_close():\n    pytest.skip('flaky')\n"))),
    ("test-skipped", in_tests(("def test_close():\n", "def test_close():\n    return\n"))),
    (
        "test-skipped",
        in_tests(("    def setUp(self):\n", "    def setUp(self):\n        self.skipTest('x')\n")),
    ),
    ("test-skipped", in_tests(("    def setUp(self):\n", "    __test__ = False\n\n    def setUp(self):\n"))),
    (
        "test-skipped",
        in_tests(("import json\n", "import json\nimport pytest\nnothing = pytest.importorskip('nothing')\n")),
    ),
    ("test-skipped", in_tests(('(113, "113th")', 'pytest.param(113, "113th", marks=pytest.mark.xfail)'))),
    ("test-changed", in_tests(("def test_close", "@getattr(pytest.mark, 'sk' + 'ip')\ndef test_close"))),
    (
        "test-changed",
        in_tests(
            (
                "        suffix.assert_called_once_with(2)\n",
                "        suffix.assert_called_once_with(2)\n\n\ndel test_close\n",
            )
        ),
    ),
    (
        "test-changed",
        in_tests(
            (
                "        suffix.assert_called_once_with(2)\n",
                "        suffix.assert_called_once_with(2)\n\n\ntest_close = None\n",
            )
        ),
    ),
    (
        "test-removed",
        change(
            "tests/test_a.py",
            "def test_a():\n    assert 1 == 2\n",
            "class A:\n    def test_a(self):\n        assert 1 == 2\n",
        ),
    ),
    (
        "assertion-removed",
        in_tests(
            (
                "        suffix.assert_called_once_with(2)\n",
                "        suffix.assert_called_once_with(2)\n\n\ndef test_close():\n    pass\n",
            )
        ),
    ),
    ("test-hook", change("tests/conftest.py", None, "collect_ignore = ['test_ordinal.py']\n")),
    ("test-skipped", change("conftest.py", None, "collect_ignore_glob = ['*']\n")),
    (
        "test-hook",
        change("conftest.py", None, "def pytest_ignore_collect(collection_path):\n    return True\n"),
    ),
    (
        "test-hook",
        change(
            "tests/conftest.py",
            "import os\n",
            "import os\n\ndef pytest_runtest_makereport(item, call):\n    call.excinfo = None\n",
        ),
    ),
    (
        "test-hook",
        change(
            "tests/conftest.py",
            "import pytest\n",
            "import pytest\n\n@pytest.fixture(autouse=True)\ndef calm():\n    yield\n",
        ),
    ),
    (
        "test-hook",
        in_tests(
            (
                "class OrdinalCase",
                "def load_tests(loader, tests, pattern):\n    return loader.suiteClass()\n\nclass OrdinalCase",
            )
        ),
    ),
    # assertions
    ("assertion-removed", in_tests(("    assert ordinal(number) == text\n", "    ordinal(number)\n"))),
    (
        "assertion-removed",
        in_tests(("    assert ordinal(number) == text\n", "    print(ordinal(number) == text)\n")),
    ),
    ("assertion-removed", in_tests(("        suffix.assert_called_once_with(2)\n", ""))),
    ("assertion-loosened", in_tests(("== text", "== text or True"))),
    ("assertion-loosened", in_tests(("assert ordinal(number) == text", "assert True"))),
    (
        "assertion-loosened",
        in_tests(("assert ordinal(number) == text", "assert (ordinal(number) == text, 'message')")),
    ),
    (
        "assertion-loosened",
        in_tests(("assert ordinal(number) == text", "assert ordinal(number) == ordinal(number)")),
    ),
    (
        "assertion-loosened",
        in_tests(("assert ordinal(number) == text", "assert ordinal(number) is not None")),
    ),
    ("assertion-loosened", in_tests(("assert ordinal(number) == text", "assert ordinal(number)"))),
    ("assertion-loosened", in_tests(("self.assertEqual(", "self.assertTrue("))),
    ("assertion-loosened", in_tests(("abs=1e-6", "abs=10"))),
    ("assertion-loosened", in_tests(("raises(ValueError)", "raises(Exception)"))),
    ("assertion-loosened", in_tests(('"1st")\n        with', '"1rd")\n        with'))),
    ("test-changed", in_tests(('"113th"', '"113rd"'))),
    ("test-changed", in_tests(("from shop.numbers import ordinal", "from tests.fakes import ordinal"))),
    ("test-changed", in_tests(("import json\n", "import json\nfrom tests.fakes import isinstance\n"))),
    (
        "swallowed-exception",
        in_tests(
            (
                ORDINAL,
                "def test_ordinal(number, text):\n    try:\n"
                "        assert ordinal(number) == text\n    except AssertionError:\n        pass",
            )
        ),
    ),
    (
        "swallowed-exception",
        in_tests(
            ("import json\n", "import contextlib\nimport json\n"),
            (
                ORDINAL,
                "def test_ordinal(number, text):\n    with contextlib.suppress(AssertionError):\n"
                "        assert ordinal(number) == text",
            ),
        ),
    ),
    (
        "assertion-loosened",
        in_tests(
            (
                "class OrdinalCase",
                "class Any:\n    def __eq__(self, other):\n        return True\n\n\nclass OrdinalCase",
            )
        ),
    ),
    (
        "test-changed",
        in_tests(
            (
                "    def setUp(self):",
                "    def assertEqual(self, *args):\n        return None\n\n    def setUp(self):",
            )
        ),
    ),
    ("test-changed", in_tests(('ordinal("x")', "ordinal('y')"))),
    (
        "test-changed",
        edit("shop/numbers.py", '"""Numbers.\n\n>>> 1 + 1\n2\n"""\n', (">>> 1 + 1\n2", ">>> 1 + 1\n3")),
    ),
    (
        "test-changed",
        change(
            "README.md",
            "Use it:\n\n    >>> add(1)\n    2\n\nmore",
            "Use it:\n\n    >>> add(1)\n    3\n\nmore",
        ),
    ),
    ("test-changed", change("tests/data/expected.json", '{"a": 1}', '{"a": 2}')),
    (
        "snapshot-rewritten",
        change("src/__snapshots__/a.test.js.snap", "exports[`a`] = `1`;", "exports[`a`] = `2`;"),
    ),
    # other languages
    ("test-skipped", edit("src/add.test.js", JS_TEST, ("it('adds'", "it.skip('adds'"))),
    ("test-skipped", edit("src/add.test.js", JS_TEST, ("it('adds'", "xit('adds'"))),
    ("test-skipped", edit("src/add.test.js", JS_TEST, ("describe('add'", "describe.skip('add'"))),
    ("test-skipped", edit("src/add.test.js", JS_TEST, ("it('throws'", "it.only('throws'"))),
    ("assertion-removed", edit("src/add.test.js", JS_TEST, ("    expect(add(1, 2)).toBe(3);\n", ""))),
    (
        "assertion-removed",
        edit(
            "src/add.test.js",
            JS_TEST,
            ("    expect(add(1, 2)).toBe(3);\n", "    // expect(add(1, 2)).toBe(3);\n"),
        ),
    ),
    ("test-changed", edit("src/add.test.js", JS_TEST, ("toBe(3)", "toBe(4)"))),
    (
        "test-removed",
        edit("src/add.test.js", JS_TEST, ("it('throws', () => { expect(() => add()).toThrow(); });", "")),
    ),
    (
        "test-skipped",
        edit("add_test.go", GO_TEST, ("t *testing.T) {\n", 't *testing.T) {\n\tt.Skip("flaky")\n')),
    ),
    ("test-removed", edit("add_test.go", GO_TEST, ("TestAdd", "testAdd"))),
    ("test-skipped", edit("src/lib.rs", RUST, ("#[test]", "#[test]\n    #[ignore]"))),
    ("test-changed", edit("src/lib.rs", RUST, ("(1, 2), 3", "(1, 2), add(1, 2)"))),
    ("test-skipped", edit("src/test/java/AddTest.java", JAVA_TEST, ("@Test", "@Disabled @Test"))),
    ("test-skipped", edit("src/test/java/AddTest.java", JAVA_TEST, ("@Test", "@Ignore\n  @Test"))),
    (
        "test-skipped",
        change(
            "spec/add_spec.rb",
            "it 'adds' do\n  expect(1).to eq 1\nend\n",
            "xit 'adds' do\n  expect(1).to eq 1\nend\n",
        ),
    ),
    ("swallowed-exception", change("src/a.js", "run();\n", "try { run(); } catch (e) {}\n")),
    ("swallowed-exception", change("src/a.js", "run();\n", "run().catch(() => {});\n")),
    ("typing-loosened", change("src/a.ts", "const a = f();\n", "const a = f() as any;\n")),
    ("typing-loosened", change("src/types.d.ts", None, "declare module 'lodash';\n")),
    # exceptions, patches of other modules, shims
    (
        "swallowed-exception",
        in_code(("import yaml\n", "try:\n    import yaml\nexcept ImportError:\n    yaml = None\n")),
    ),
    (
        "swallowed-exception",
        in_code(
            (
                "        return yaml.safe_load(handle)",
                "        try:\n            return yaml.safe_load(handle)\n"
                "        except Exception:\n            return {}",
            )
        ),
    ),
    (
        "swallowed-exception",
        in_code(
            (
                "        return yaml.safe_load(handle)",
                "        try:\n            return yaml.safe_load(handle)\n        except:\n            ...",
            )
        ),
    ),
    (
        "swallowed-exception",
        in_code(
            (
                "        return yaml.safe_load(handle)",
                "        try:\n            return yaml.safe_load(handle)\n"
                "        except BaseException as e:\n            result = make(e)\n        return result",
            )
        ),
    ),
    (
        "module-patched",
        in_code(("import yaml\n", "import yaml\n\ncollections.Mapping = collections.abc.Mapping\n")),
    ),
    (
        "module-patched",
        change("tests/conftest.py", "import sys\n", "import sys\nsys.modules['pkg_resources'] = object()\n"),
    ),
    ("module-patched", change("shop/__init__.py", "", "import sys\nsys.modules.setdefault('yaml', sys)\n")),
    ("module-patched", in_code(("import yaml\n", "import yaml\n\nsetattr(yaml, 'safe_load', dict)\n"))),
    ("import-shim", change("sitecustomize.py", None, "import collections\n")),
    ("import-shim", change("src/shim.pth", None, "import os\n")),
    ("import-shim", change("pytest.py", None, "print('1 passed')\n")),
    ("import-shim", change("json.py", None, "def loads(x): return {}\n")),
    (
        "detects-tests",
        in_code(
            (
                "    suffix =",
                "    if 'PYTEST_CURRENT_TEST' in os.environ:\n        return '113th'\n    suffix =",
            )
        ),
    ),
    (
        "special-case",
        in_code(("    suffix =", "    if number == 113:\n        return '113th'\n    suffix =")),
    ),
    ("forced-exit", in_code(("    suffix =", "    os._exit(0)\n    suffix ="))),
    ("code-removed", change("shop/numbers.py", CODE, CODE[: CODE.index("def ordinal")])),
    ("code-removed", in_code(("    subtitle = None\n", ""))),
    (
        "code-removed",
        in_code(
            (
                "        result = 0\n        for item in items:\n            result += item\n        return result",
                "        return 0",
            )
        ),
    ),
    ("file-removed", change("shop/numbers.py", CODE, None)),
    ("typing-loosened", in_code(("items: list[int]) -> int", "items)"))),
    (
        "typing-loosened",
        in_code(
            ("import yaml\n", "import yaml\nfrom typing import no_type_check\n"),
            ("def load", "@no_type_check\ndef load"),
        ),
    ),
    # suppressions
    *[
        ("suppression", change("shop/a.py", "import os\n", f"import os  {comment}\n"))
        for comment in (
            "# noqa",
            "#NOQA:F401",
            "# type: ignore",
            "#type:ignore[import]",
            "# pyright: ignore",
            "# nosec",
            "# pragma: no cover",
            "# pylint: disable=unused-import",
            "# fmt: skip",
            "# isort:skip",
            "# pragma: allowlist secret",
            "# ruff: noqa",
            "# flake8: noqa",
            "# mypy: ignore-errors",
            "# NOSONAR",
        )
    ],
    ("suppression", change("shop/a.py", "x = 1  # noqa: E501\n", "x = 1  # noqa\n")),
    ("suppression", change("src/a.js", "a()\n", "// eslint-disable-next-line\na()\n")),
    ("suppression", change("src/a.js", "a()\n", "/* eslint-disable */\na()\n")),
    ("suppression", change("src/a.js", "a()\n", "// prettier-ignore\na()\n")),
    ("suppression", change("src/a.ts", "a()\n", "// @ts-ignore\na()\n")),
    ("suppression", change("src/a.ts", "a()\n", "// @ts-nocheck\na()\n")),
    ("suppression", change("src/a.ts", "a()\n", "// @ts-expect-error later\na()\n")),
    ("suppression", change("a.go", "x := 1\n", "x := 1 //nolint:all\n")),
    ("suppression", change("src/a.rs", "fn a() {}\n", "#[allow(dead_code)]\nfn a() {}\n")),
    ("suppression", change("src/a.rs", "fn a() {}\n", "#![allow(clippy::all)]\nfn a() {}\n")),
    ("suppression", change("A.java", "class A {}\n", '@SuppressWarnings("all")\nclass A {}\n')),
    ("suppression", change("a.rb", "a\n", "a # rubocop:disable all\n")),
    ("suppression", change("a.sh", "a\n", "# shellcheck disable=SC2086\na\n")),
    ("suppression", change("a.py", "key = 1\n", "key = 1  # gitleaks:allow\n")),
    # configuration
    ("checker-config", edit("pyproject.toml", PYPROJECT, ("line-length = 100", "line-length = 300"))),
    ("checker-config", edit("pyproject.toml", PYPROJECT, ("strict = true", "ignore_missing_imports = true"))),
    ("checker-config", edit("pyproject.toml", PYPROJECT, ('"-q"', '"-q --deselect tests/test_a.py"'))),
    ("checker-config", edit("pyproject.toml", PYPROJECT, ("fail_under = 90", "fail_under = 10"))),
    (
        "checker-config",
        edit("pyproject.toml", PYPROJECT, ("line-length = 100", "line-length = 100\nextend-exclude = ['shop']")),
    ),
    (
        "checker-config",
        change("setup.cfg", "[flake8]\nmax-line-length = 80\n", "[flake8]\nmax-line-length = 180\n"),
    ),
    ("checker-config", change("pytest.ini", None, "[pytest]\naddopts = -k nothing\n")),
    ("checker-config", change("mypy.ini", "[mypy]\nstrict = True\n", "[mypy]\n")),
    ("checker-config", change(".flake8", None, "[flake8]\nignore = F401\n")),
    (
        "checker-config",
        change("ruff.toml", "line-length = 100\n", 'line-length = 100\nlint.ignore = ["F401"]\n'),
    ),
    ("checker-config", change(".coveragerc", "[report]\nfail_under = 90\n", "[report]\nfail_under = 0\n")),
    ("checker-config", change("tsconfig.json", TSCONFIG, '{"compilerOptions": {"strict": false}}\n')),
    ("checker-config", change(".eslintrc.json", '{"rules": {"no-undef": 2}}', '{"rules": {"no-undef": 0}}')),
    ("checker-config", change(".eslintignore", None, "src\n")),
    ("checker-config", change(".prettierignore", "dist\n", "dist\nsrc\n")),
    ("checker-config", change(".pre-commit-config.yaml", "repos:\n- repo: local\n", "repos: []\n")),
    ("checker-config", change(".secrets.baseline", "{}", '{"results": {"settings.py": []}}')),
    (
        "checker-config",
        change("jest.config.js", "module.exports = {}\n", "module.exports = {testPathIgnorePatterns: ['a']}\n"),
    ),
    ("checker-config", change(".golangci.yml", "linters: {}\n", "linters: {disable-all: true}\n")),
    ("checker-config", change(".rubocop.yml", "AllCops: {}\n", "AllCops: {Exclude: ['**/*']}\n")),
    ("checker-config", change("tools/allowed-licences.txt", "MIT\n", "MIT\nGPL\n")),
    ("checker-config", change(".gitignore", "*.pyc\n", "*.pyc\nshop/\n")),
    (
        "checker-config",
        change(
            "package.json",
            PACKAGE_JSON,
            PACKAGE_JSON.replace('"name": "shop"', '"name": "shop", "jest": {"testMatch": []}'),
        ),
    ),
    (
        "checker-config",
        change("Cargo.toml", '[package]\nname = "a"\n', '[package]\nname = "a"\nautotests = false\n'),
    ),
    # commands in scripts
    ("command-neutralised", edit("run-tests.sh", SCRIPT, ("pytest -q", "pytest -q || true"))),
    ("command-neutralised", edit("run-tests.sh", SCRIPT, ("pytest -q", "pytest -q || :"))),
    ("command-neutralised", edit("run-tests.sh", SCRIPT, ("pytest -q\n", "pytest -q; exit 0\n"))),
    ("command-neutralised", edit("run-tests.sh", SCRIPT, ("set -euo pipefail\n", ""))),
    ("command-neutralised", edit("run-tests.sh", SCRIPT, ("set -euo pipefail", "set +e"))),
    ("command-neutralised", edit("run-tests.sh", SCRIPT, ("ruff check .", "# ruff check ."))),
    ("command-neutralised", edit("run-tests.sh", SCRIPT, ("ruff check .", "ruff check --exit-zero ."))),
    ("command-neutralised", edit("Makefile", MAKEFILE, ("pytest -q", "pytest -q || true"))),
    ("build-script", edit("Makefile", MAKEFILE, ("\tpytest -q", "\t-pytest -q"))),
    ("build-script", edit("run-tests.sh", SCRIPT, ("#!/bin/bash", "#!/bin/true"))),
    (
        "command-neutralised",
        edit("package.json", PACKAGE_JSON, ('"test": "jest"', '"test": "jest --passWithNoTests"')),
    ),
    ("build-script", edit("package.json", PACKAGE_JSON, ('"lint": "eslint ."', '"lint": "eslint src/a.js"'))),
    # what people own, and what nobody patches
    ("protected-path", change(".github/workflows/ci.yml", "on: push\n", "on: never\n")),
    ("protected-path", change("CODEOWNERS", "* @a\n", "* @b\n")),
    ("protected-path", change("LICENSE", "MIT\n", "GPL\n")),
    ("protected-path", change("ci/fetch.py", "RETRIES = 1\n", "RETRIES = 9\n")),
    ("protected-path", change("metabuilder.yaml", "steps: []\n", "steps: [a]\n")),
    ("outside-workspace", change("/etc/passwd", None, "x")),
    ("outside-workspace", change("../other/a.py", None, "x")),
    ("outside-workspace", change("a/../../b.py", None, "x")),
    ("outside-workspace", change("./tests/../a.py", None, "x")),
    ("git-internals", change(".git/hooks/pre-commit", None, "exit 0")),
    ("git-internals", change("sub/.GIT/config", None, "x")),
    ("installed-package", change(".venv/lib/python3.11/site-packages/jinja2/utils.py", "a\n", "b\n")),
    ("installed-package", change("node_modules/jest/index.js", "a\n", "b\n")),
    ("link", change("data", None, "/etc", new_mode="120000")),
    ("link", change("vendor/lib", None, "Subproject", new_mode="160000")),
    ("binary", change("shop/data.bin", b"\0\1", b"\0\2")),
    ("secret-added", change("shop/settings.py", "KEY = None\n", "KEY = 'AKIA" + "IOSFODNN7EXAMPLQ'\n")),
    ("mode-changed", change("run.sh", "a\n", "a\n", "100755", "100644")),
    # migrations
    ("migration-edited", edit("books/migrations/0002_subtitle.py", MIGRATION, ("null=True", "default=''"))),
    (
        "migration-trick",
        change(
            "books/models.py",
            "class Book(Model):\n    class Meta:\n        ordering = []\n",
            "class Book(Model):\n    class Meta:\n        ordering = []\n        managed = False\n",
        ),
    ),
    (
        "migration-destructive",
        change("books/migrations/0003_x.py", None, swap(MIGRATION, ("AddField", "RemoveField"))),
    ),
    ("file-removed", change("books/migrations/0002_subtitle.py", MIGRATION, None)),
    # packages
    ("unvouched-package", edit("requirements.txt", REQUIREMENTS, ("six\n", "six\nrequestes\n"))),
    ("unvouched-package", edit("pyproject.toml", PYPROJECT, ('["requests"]', '["requests", "evil"]'))),
    ("unvouched-package", edit("package.json", PACKAGE_JSON, ('{"jest"', '{"left-pad": "1.0.0", "jest"'))),
    ("dependency-removed", edit("requirements.txt", REQUIREMENTS, ("six\n", ""))),
    ("checker-version", edit("requirements.txt", REQUIREMENTS, ("black==24.10.0", "black==19.3b0"))),
    (
        "foreign-source",
        edit("requirements.txt", REQUIREMENTS, ("six\n", "six\n--extra-index-url https://example.org/simple\n")),
    ),
    (
        "foreign-source",
        edit("requirements.txt", REQUIREMENTS, ("six\n", "six @ git+https://example.org/six\n")),
    ),
    # devices found by looking for ways round the rules above
    ("test-changed", in_tests(('[(1, "1st"), (2, "2nd"), (113, "113th")]', "[]"))),
    ("import-shim", change("markupsafe.py", None, "def soft_unicode(x): return x\n")),
    ("import-shim", change("src/pkg_resources/__init__.py", None, "def get_distribution(x): ...\n")),
    ("typing-loosened", change("stubs/requests/__init__.pyi", None, "def __getattr__(name): ...\n")),
    ("typing-loosened", change("shop/a.py", "x: int = f()\n", "from typing import Any\nx: Any = f()\n")),
    ("environment-changed", in_code(("import yaml\n", "import yaml\n\nos.environ['PYTEST_ADDOPTS'] = '-k x'\n"))),
    (
        "special-case",
        in_code(("    suffix =", "    match number:\n        case 113:\n            return '113th'\n    suffix =")),
    ),
    ("special-case", in_code(("    return f", "    return '113th' if number == 113 else f"))),
    (
        "swallowed-exception",
        in_code(
            (
                "        return yaml.safe",
                "        try:\n            a()\n        finally:\n            return yaml.safe",
            )
        ),
    ),
    ("assertion-loosened", in_code(("class Shop:\n", "class Shop:\n    __eq__ = lambda self, other: True\n"))),
    ("forced-exit", change("scripts/check.py", "import sys\nsys.exit(run())\n", "import sys\nrun()\n")),
    ("hidden-text", change("shop/a.py", "x = 1\n", "# coding: utf-7\nx = 1\n")),
    ("hidden-text", change("shop/a.py", "x = 1\n", "x = 1  # \u202e\n")),
    ("checker-config", change("shop/settings.py", "X = 1\n", "X = 1\nMIGRATION_MODULES = {'books': None}\n")),
    ("test-hook", change("setup.py", "setup(name='a')\n", "setup(name='a', entry_points={'pytest11': ['x = y']})\n")),
    ("security-loosened", change("shop/a.py", "get(url)\n", "get(url, verify=False)\n")),
    (
        "test-removed",
        change(
            "tests/test_a.py", "def test_a():\n    assert f()\n", "if False:\n    def test_a():\n        assert f()\n"
        ),
    ),
    (
        "assertion-removed",
        change(
            "tests/test_a.py", "def test_a():\n    assert f()\n", 'def test_a():\n    """\n    assert f()\n    """\n'
        ),
    ),
    (
        "test-changed",
        change("tests/test_a.py", "def test_a():\n    assert f()\n", "async def test_a():\n    assert f()\n"),
    ),
    ("test-skipped", change("add_test.go", GO_TEST, "//go:build never\n\n" + GO_TEST)),
    ("test-removed", edit("src/add.test.js", JS_TEST, ("it('adds'", "it['skip']('adds'"))),
    ("foreign-source", edit("pyproject.toml", PYPROJECT, ('["requests"]', '["requests @ git+https://x.example/r"]'))),
]


@pytest.mark.parametrize(
    ("rule", "patch"), CHEATS, ids=[f"{n}-{rule}-{patch.path}" for n, (rule, patch) in enumerate(CHEATS)]
)
def test_check_changes__cheating_patch__is_stopped_by_its_rule(rule, patch):
    verdict = check_changes([patch], vouched=["left_pad_not"])
    assert not verdict.allowed
    assert rule in {finding.rule for finding in verdict.findings}, verdict.findings


REFUSED = {"outside-workspace", "git-internals", "installed-package", "link", "secret-added"}


@pytest.mark.parametrize(("rule", "patch"), [case for case in CHEATS if case[0] in REFUSED])
def test_check_changes__what_nobody_may_approve__is_refused_outright(rule, patch):
    assert check_changes([patch]).action is Action.REFUSE


HONEST = {
    "unused import of a test removed": edit(
        "tests/test_a.py", "import os\nimport sys\n\n\ndef test_a():\n    assert os.sep\n", ("import sys\n", "")
    ),
    "new test beside the old": in_tests(
        ("def test_close", "def test_zero():\n    assert ordinal(0) == '0th'\n\n\ndef test_close")
    ),
    "imports sorted": in_tests(
        (
            "import pytest\nfrom unittest import TestCase, mock\n",
            "from unittest import TestCase, mock\n\nimport pytest\n",
        )
    ),
    "quotes and layout": in_tests(
        ('"113th"', "'113th'"),
        ("assert ordinal(number) == text", "assert (\n        ordinal(number)\n        == text\n    )"),
    ),
    "dropped unittest alias": edit(
        "tests/test_a.py",
        "class T(TestCase):\n    def test_a(self):\n        self.assertEquals(1, f())\n",
        ("assertEquals", "assertEqual"),
    ),
    "test of None with is": edit(
        "tests/test_a.py",
        "def test_a():\n    assert f() == None\n    assert not x in y\n",
        ("== None", "is None"),
        ("not x in y", "x not in y"),
    ),
    "f-string without placeholders": edit(
        "tests/test_a.py", "def test_a():\n    assert f() == f'a'\n", ("f'a'", "'a'")
    ),
    "collections.abc in code": edit(
        "shop/a.py",
        "from collections import Mapping, OrderedDict\n\n\ndef f(x):\n    return isinstance(x, Mapping), OrderedDict\n",
        (
            "from collections import Mapping, OrderedDict",
            "from collections import OrderedDict\nfrom collections.abc import Mapping",
        ),
    ),
    "collections.abc in a test": edit(
        "tests/test_a.py",
        "from collections import Mapping\n\n\ndef test_a():\n    assert isinstance(f(), Mapping)\n",
        ("from collections import", "from collections.abc import"),
    ),
    "guarded import with a fallback": edit(
        "shop/a.py",
        "from collections import Mapping\n",
        (
            "from collections import Mapping",
            "try:\n    from collections.abc import Mapping\nexcept ImportError:\n    from collections import Mapping",
        ),
    ),
    "unused imports of code removed": in_code(("import collections\nimport os\n\n", "")),
    "a bug mended": in_code(
        ("    suffix = ", "    special = 10 <= number % 100 <= 20\n    suffix = "),
        ('return f"{number}{suffix}"', "return f\"{number}{'th' if special else suffix}\""),
    ),
    "missing import added": in_code(("import yaml\n", "import yaml\n\nfrom shop.errors import BadFile\n")),
    "types added": in_code(("-> dict:", "-> dict[str, object]:")),
    "suppression that stays while its line moves": edit(
        "shop/a.py",
        "import os  # noqa: F401\nx = [1,2]\n",
        ("import os  # noqa: F401\nx = [1,2]", "x = [1, 2]\nimport os  # noqa: F401"),
    ),
    "needless suppression removed": edit("shop/a.py", "import os  # noqa\nos.getcwd()\n", ("  # noqa", "")),
    "a pinned requirement": edit("requirements.txt", REQUIREMENTS, ("six\n", "six<2\n")),
    "a vouched requirement": edit("requirements.txt", REQUIREMENTS, ("six\n", "six\nwebencodings\n")),
    "a vouched stub package": edit(
        "requirements-dev.txt", "mypy==1.13.0\n", ("mypy==1.13.0\n", "mypy==1.13.0\ntypes-requests\n")
    ),
    "a vouched npm package": edit("package.json", PACKAGE_JSON, ('{"jest"', '{"@types/lodash": "^4.17.0", "jest"')),
    "a vouched pyproject dependency": edit(
        "pyproject.toml", PYPROJECT, ('["requests"]', '["requests", "webencodings>=0.5"]')
    ),
    "a new constraints file": change("constraints.txt", None, "markupsafe==2.0.1\nsetuptools<81\n"),
    "a new migration": change("books/migrations/0002_subtitle.py", None, MIGRATION),
    "a merge migration": change(
        "books/migrations/0003_merge.py",
        None,
        "from django.db import migrations\n\n\nclass Migration(migrations.Migration):\n"
        "    dependencies = [('books', '0002_a'), ('books', '0002_b')]\n    operations = []\n",
    ),
    "made executable": change("ci/build.sh", "#!/bin/sh\necho\n", "#!/bin/sh\necho\n", "100644", "100755"),
    "prettier on a test": change(
        "src/add.test.js",
        JS_TEST,
        JS_TEST.replace("'", '"')
        .replace("  ", "\t")
        .replace("{ expect(() => add()).toThrow(); }", "{\n\texpect(() => add()).toThrow()\n}"),
    ),
    "prettier on code": change(
        "src/add.js",
        "export const add = (a,b)=>{return a+b}\n",
        "export const add = (a, b) => {\n  return a + b;\n};\n",
    ),
    "gofmt on a test": change("add_test.go", GO_TEST, GO_TEST.replace("\t", "    ")),
    "rustfmt": change("src/lib.rs", RUST, RUST.replace("{ a + b }", "{\n    a + b\n}")),
    "code of Rust beside its tests": change("src/lib.rs", RUST, RUST.replace("a + b", "b + a")),
    "layout of a configuration": change("tsconfig.json", TSCONFIG, '{\n  "compilerOptions": { "strict": true }\n}\n'),
    "a comment in a script": edit("run-tests.sh", SCRIPT, ("pytest -q", "# the tests\npytest -q")),
    "a lock file": change(
        "package-lock.json",
        '{"packages": {}}',
        '{"packages": {"node_modules/@types/lodash": {"integrity": "sha512-AAAAbbbbCCCCddddEEEEffff"}}}',
    ),
    "a new module": change("shop/extra.py", None, "def extra(a: int) -> int:\n    return a + 1\n"),
    "a new test file": change(
        "tests/test_extra.py", None, "from shop.extra import extra\n\n\ndef test_extra():\n    assert extra(1) == 2\n"
    ),
    "documentation": change("README.md", "Shop\n", "# Shop\n\nRun `pytest`.\n"),
}


@pytest.mark.parametrize("name", HONEST)
def test_check_changes__honest_patch__passes(name):
    vouched = ["webencodings", "types-requests", "@types/lodash"]
    assert check_changes([HONEST[name]], vouched=vouched).findings == ()


MESSY = """import os, sys
import json
from shop.numbers import   ordinal
import pytest
def test_a( ):
    x = {  'a':1,
      'b':f'two' }
    assert not 'c' in x
    assert ordinal(1)==x['a'],'message'
    if x == None: pass
    assert len(x)==2
    with pytest.raises( ValueError ):
        ordinal( -1 )
class TestB(object):
    "A docstring."
    def test_b(self):
        try:
            value=json.loads('[1]')
        except ValueError as e:
            raise
        assert value == [1]
"""


@pytest.mark.parametrize(
    "command", [["check", "-q", "--fix", "--exit-zero", "--select", "E,F,I,UP,W"], ["format", "-q"]]
)
def test_check_changes__what_ruff_makes_of_a_messy_test__passes(tmp_path, command):
    ruff = shutil.which("ruff", path=str(Path(sys.executable).parent))
    path = tmp_path / "test_messy.py"
    path.write_text(MESSY)

    subprocess.run([ruff, *command, "--isolated", str(path)], check=True)

    fixed = path.read_text()
    assert fixed != MESSY
    for place in ("tests/test_messy.py", "shop/messy.py"):
        assert check_changes([change(place, MESSY, fixed)]).findings == ()


def test_check_changes__requirement_moved_to_another_manifest__is_no_removal():
    moved = [
        change("requirements.txt", "six\nflask\n", "six\n"),
        change("requirements-dev.txt", "", "flask\n"),
    ]
    assert check_changes(moved).findings == ()


def test_check_changes__too_many_files_or_lines__is_a_gate_unless_the_caller_allows_more():
    patches = [change(f"shop/m{n}.py", "a = 1\n", "a = 2\n") for n in range(60)]
    assert {finding.rule for finding in check_changes(patches).findings} == {"too-large"}
    assert check_changes(patches, limits=GuardLimits(max_files=100)).allowed
    long = change("shop/m.py", "", "a = 1\n" * 2_000)
    assert {finding.rule for finding in check_changes([long]).findings} == {"too-large"}


def test_check_changes__callers_protected_folder__is_a_gate():
    patch = change("billing/rates.py", "RATE = 1\n", "RATE = 2\n")
    assert check_changes([patch]).allowed
    assert [finding.rule for finding in check_changes([patch], protected=["billing"]).findings] == ["protected-path"]


def test_check_changes__extra_rule__is_asked_about_each_text():
    def no_tabs(text):
        if "\t" in text.new:
            yield text.finding("no-tabs", "a tab")

    verdict = check_changes([change("a.txt", "", "a\tb")], extra_rules=[no_tabs])
    assert [finding.rule for finding in verdict.findings] == ["no-tabs"]


def test_check_changes__secret__is_not_repeated_in_the_finding():
    secret = "AKIA" + "IOSFODNN7EXAMPLQ"
    verdict = check_changes([change("shop/settings.py", "", f"KEY = '{secret}'\n")])
    assert secret not in repr(verdict)


def test_check_changes__secret_that_was_there_before__is_left_to_the_scanner():
    secret = "AKIA" + "IOSFODNN7EXAMPLQ"
    patch = change("shop/settings.py", f"KEY = '{secret}'\n", f'KEY = "{secret}"\n')
    assert check_changes([patch]).allowed


names = ["a.py", "tests/test_a.py", "conftest.py", "setup.py", "setup.cfg", "tox.ini", "pyproject.toml", "package.json"]
names += [
    "Cargo.toml",
    "go.mod",
    "Pipfile",
    "requirements.txt",
    "a.js",
    "a_test.go",
    "ci.yml",
    "run.sh",
    "uv.lock",
    "a.txt",
]
snippets = [
    TESTS,
    CODE,
    JS_TEST,
    PYPROJECT,
    PACKAGE_JSON,
    SCRIPT,
    REQUIREMENTS,
    MIGRATION,
    "[tool]\nx = 1",
    '{"scripts": []}',
]
snippets += [
    "tool = 3",
    "project = []",
    '{"scripts": {"a": 1}, "dependencies": []}',
    "[a]\n[a]",
    "a: &a [*a]",
    "[" * 3000,
    "-" * 3000 + "1",
]
contents = st.none() | st.sampled_from(snippets) | st.text(max_size=40) | st.binary(max_size=40)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(names), contents, contents)
def test_check_changes__any_content__gets_a_verdict(path, old, new):
    verdict = check_changes([change(path, old, new)])
    assert verdict.allowed is (verdict.findings == ())


def test_check_changes__code_nested_too_deeply__is_not_waved_through():
    deep = "x = " + "-" * 900 + "1\n"
    for text in (deep, "x = " + "+".join(["1"] * 5_000), "x = " + "(" * 500 + ")" * 500):
        assert not check_changes([change("tests/test_a.py", TESTS, text)]).allowed
