"""What a patch may not do to Python's tests, code and migrations. Compares syntax trees, not text."""

from __future__ import annotations

import ast
import builtins
import re
from collections import Counter
from collections.abc import Iterator

from autofix.guard import kinds
from autofix.guard.python_smells import destructive_operations, dotted, new_smells
from autofix.guard.python_tree import Outline, dump, is_honest_move, outline, parse
from autofix.guard.verdict import ChangedText, Finding

_TEST_NAME = re.compile(r"(.*\.)?(test|Test)\w*\Z|.*\.test\w*\Z|.*\bTest\w*\.\w+\Z")
_SKIP_WORDS = re.compile(
    r"'(?:skip\w*|xfail|SkipTest|importorskip|expectedFailure|exit|__test__|pytestmark|collect_ignore\w*)'"
)
_ASSERTING = re.compile(r"(?:assert|fail|expect|check|verify|should|raises|warns|deprecated_call|match)", re.IGNORECASE)
# Python reads a source file's encoding from a comment in its first two lines.
_COOKIE = re.compile(r"\A(?:[^\n]*\n)?[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")
_PLAIN_ENCODINGS = frozenset({"utf-8", "utf8", "ascii", "us-ascii", "utf-8-unix"})
_DOCTEST = re.compile(r"^\s*>>> ", re.MULTILINE)


def check_python(text: ChangedText) -> Iterator[Finding]:
    try:
        yield from _check(text)
    except RecursionError:
        yield text.finding("unreadable", "the code is nested too deeply to be judged")


def _check(text: ChangedText) -> Iterator[Finding]:
    if text.suffix not in {".py", ".pyi"} or text.is_deleted:
        return
    old_tree, new_tree = parse(text.old), parse(text.new)
    if new_tree is None:
        if text.is_new or old_tree is not None or _is_test(text, None):
            yield text.finding("unreadable", "the new text is not valid Python, so it cannot be judged")
        return
    if text.is_new and text.suffix == ".pyi":
        yield text.finding("typing-loosened", "a new stub decides what the type checker believes")
    cookie = _COOKIE.search(text.new)
    if cookie and cookie[1].lower() not in _PLAIN_ENCODINGS and cookie.group() not in text.old:
        yield text.finding("hidden-text", f"the file is read as {cookie[1]}, which may hide code", line=1)
    for smell in new_smells(old_tree, new_tree):
        yield text.finding(smell.rule, smell.message, line=smell.line)
    if old_tree is not None:
        yield from _annotations_lost(text, old_tree, new_tree)
        yield from _doctests_changed(text, old_tree, new_tree)
    if text.is_new and kinds.is_migration(text.path):
        for line, name in destructive_operations(new_tree):
            yield text.finding("migration-destructive", f"{name} may lose data or runs code of its own", line=line)
    before, after = outline(old_tree) if old_tree else None, outline(new_tree)
    if text.is_new:
        yield from _check_new(text, after)
    elif before is None:
        if _is_test(text, None):
            yield text.finding("test-changed", "the old text was not valid Python, so the tests cannot be compared")
    elif kinds.is_migration(text.path) and not _same(before, after):
        yield text.finding("migration-edited", "a migration that exists may have run somewhere; add a new one")
    elif _is_test(text, before):
        yield from _check_tests(text, before, after)
    else:
        yield from _check_code(text, before, after)


def _is_test(text: ChangedText, before: Outline | None) -> bool:
    if kinds.is_test(text.path):
        return True
    if before is None:
        return "def test_" in text.old
    cases = any("TestCase" in dotted(base) for node in before.classes.values() for base in node.bases)
    # Only functions of the module: a client class may have methods such as test_client.
    return cases or any(name.startswith("test_") for name in before.functions)


def _same(before: Outline, after: Outline) -> bool:
    return (
        {name: dump(node) for name, node in before.functions.items()}
        == {name: dump(node) for name, node in after.functions.items()}
        and before.statements == after.statements
        and before.imports == after.imports
    )


def _check_new(text: ChangedText, after: Outline) -> Iterator[Finding]:
    if kinds.is_test_infrastructure(text.path) and (after.functions or after.statements or after.imports):
        yield text.finding("test-hook", "a new conftest.py changes how every test beside it runs")


def _check_code(text: ChangedText, before: Outline, after: Outline) -> Iterator[Finding]:
    names_after = {*after.functions, *after.classes, *after.assigned, *after.imports}
    for name in sorted({*before.functions, *before.classes, *before.assigned} - names_after):
        yield text.finding("code-removed", f"{name} is gone")
    for name, node in before.functions.items():
        new = after.functions.get(name)
        if new is not None and not _is_hollow(node) and _is_hollow(new):
            yield text.finding("code-removed", f"{name} no longer does anything", line=new.lineno)
    exits = [sum(map(_passes_status, side.statements)) for side in (before, after)]
    if exits[1] < exits[0]:
        yield text.finding("forced-exit", "an exit status is no longer passed on")
    fields_lost = Counter(before.statements) - Counter(after.statements)
    if sum(fields_lost.values()) > 0 and not after.statements and not after.functions and not after.classes:
        yield text.finding("code-removed", "the file is empty now")


def _passes_status(statement: str) -> bool:
    return bool(re.search(r"attr='exit'|id='(exit|SystemExit)'", statement))


def _is_hollow(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    if len(node.body) != 1:
        return False
    only = node.body[0]
    if isinstance(only, ast.Return):
        return only.value is None or isinstance(only.value, ast.Constant)
    return isinstance(only, ast.Pass) or (isinstance(only, ast.Raise) and "NotImplementedError" in dump(only))


def _check_tests(text: ChangedText, before: Outline, after: Outline) -> Iterator[Finding]:
    for name, node in before.functions.items():
        new = after.functions.get(name)
        if new is None:
            rule = "test-removed" if _TEST_NAME.match(name) else "test-changed"
            yield text.finding(rule, f"{name} is gone or renamed")
        elif dump(node) != dump(new):
            yield _changed_function(text, name, node, new)
    for name, new in after.functions.items():
        owner = name.rpartition(".")[0]
        if name in before.functions or (owner and owner not in before.classes):
            continue
        if not name.rpartition(".")[2].startswith("test") or name in before.assigned or name in before.imports:
            yield text.finding("test-changed", f"{name} is new and may change what existing tests do", line=new.lineno)
    yield from _changed_classes(text, before, after)
    yield from _changed_statements(text, before, after)
    yield from _changed_imports(text, before, after)


def _changed_function(
    text: ChangedText,
    name: str,
    old: ast.FunctionDef | ast.AsyncFunctionDef,
    new: ast.FunctionDef | ast.AsyncFunctionDef,
) -> Finding:
    """The most telling finding about a test or helper that is no longer the same."""
    old_asserts, new_asserts = _assertions(old), _assertions(new)
    lost = old_asserts - new_asserts
    fewer = sum(new_asserts.values()) < sum(old_asserts.values())
    returns = [sum(isinstance(child, ast.Return) for child in ast.walk(node)) for node in (old, new)]
    if len(_SKIP_WORDS.findall(dump(new))) > len(_SKIP_WORDS.findall(dump(old))) or returns[1] > returns[0]:
        return text.finding("test-skipped", f"{name} is skipped or ends early", line=new.lineno)
    if fewer:
        return text.finding("assertion-removed", f"{name} asserts less than before", line=new.lineno)
    if lost:
        return text.finding("assertion-loosened", f"{name} asserts something else", line=new.lineno)
    return text.finding("test-changed", f"{name} does something else", line=new.lineno)


def _assertions(node: ast.AST) -> Counter[str]:
    found = Counter[str]()
    for child in ast.walk(node):
        if isinstance(child, ast.Assert):
            found[dump(child.test)] += 1
        elif (
            isinstance(child, ast.Call) and _ASSERTING.search(getattr(child.func, "attr", dotted(child.func)))
        ) or isinstance(child, ast.Raise):
            found[dump(child)] += 1
    return found


def _changed_classes(text: ChangedText, before: Outline, after: Outline) -> Iterator[Finding]:
    for name, node in before.classes.items():
        new = after.classes.get(name)
        if new is None:
            yield text.finding("test-removed", f"class {name} is gone or renamed")
        elif _head(node) != _head(new):
            skipped = len(_SKIP_WORDS.findall(_head(new))) > len(_SKIP_WORDS.findall(_head(node)))
            rule = "test-skipped" if skipped else "test-changed"
            yield text.finding(rule, f"the decorators or bases of {name} are others", line=new.lineno)


def _head(node: ast.ClassDef) -> str:
    return " ".join(dump(part) for part in (*node.decorator_list, *node.bases, *node.keywords))


def _changed_statements(text: ChangedText, before: Outline, after: Outline) -> Iterator[Finding]:
    old, new = Counter(before.statements), Counter(after.statements)
    for statement in new - old:
        rule = "test-skipped" if _SKIP_WORDS.search(statement) else "test-changed"
        yield text.finding(rule, "a statement outside the test functions is new", line=after.positions[statement])
    for _ in old - new:
        yield text.finding("test-changed", "a statement outside the test functions is gone")


def _changed_imports(text: ChangedText, before: Outline, after: Outline) -> Iterator[Finding]:
    for name, origins in before.imports.items():
        new_origins = after.imports.get(name)
        if new_origins is None:
            if re.search(r"(^|:)(test|Test)|:\*$", name):
                yield text.finding("test-removed", f"tests that were imported ({name}) are gone")
        elif any(not any(old == new or is_honest_move(old, new) for old in origins) for new in new_origins):
            yield text.finding("test-changed", f"{name} is imported from somewhere else")
    for name in after.imports.keys() - before.imports.keys():
        taken = name in before.functions or name in before.classes or name in before.assigned
        if taken or hasattr(builtins, name) or name.endswith(":*"):
            yield text.finding("test-changed", f"the import of {name} takes the place of another name")


def _annotations_lost(text: ChangedText, old: ast.Module, new: ast.Module) -> Iterator[Finding]:
    before, after = _annotations(old), _annotations(new)
    for place, annotation in before.items():
        now = after.get(place, annotation)  # a place that is gone is judged elsewhere
        if annotation != now and now in {"", "Any", "typing.Any", "object"}:
            yield text.finding("typing-loosened", f"{place} has lost its type")


def _annotations(tree: ast.Module) -> dict[str, str]:
    """Each function's `name()` return annotation and `name(argument)` annotations, as text."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found[f"{node.name}()"] = ast.unparse(node.returns) if node.returns else ""
            for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs):
                found[f"{node.name}({argument.arg})"] = ast.unparse(argument.annotation) if argument.annotation else ""
        elif isinstance(node, ast.AnnAssign):
            found[f"{dotted(node.target)}:"] = ast.unparse(node.annotation)
    return found


def _doctests_changed(text: ChangedText, old: ast.Module, new: ast.Module) -> Iterator[Finding]:
    lost = _doctest_lines(old) - _doctest_lines(new)
    if lost:
        yield text.finding("test-changed", "examples in a docstring, which are tests, have changed")


def _doctest_lines(tree: ast.Module) -> Counter[str]:
    lines = Counter[str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _DOCTEST.search(node.value):
            lines.update(line.strip() for line in node.value.splitlines() if line.strip())
    return lines
