"""Constructs of Python that hide a failure rather than mend it; only what is new counts. Pure."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from autofix.guard.python_tree import dump

_SKIPS = frozenset(
    {
        "skipif",
        "skipIf",
        "skipUnless",
        "xfail",
        "skipTest",
        "SkipTest",
        "importorskip",
        "expectedFailure",
        "skip_if",
    }
)
_COLLECTION_NAMES = frozenset({"pytestmark", "__test__", "collect_ignore", "collect_ignore_glob", "pytest_plugins"})
_BROAD = frozenset({"Exception", "BaseException"})
_EXITS = frozenset({"sys.exit", "os._exit", "exit", "quit", "SystemExit", "os.abort", "os.kill", "atexit.register"})
_EXITS |= {"pytest.exit", "os.execv", "os.execvp", "faulthandler.disable"}
_DYNAMIC = frozenset({"exec", "eval", "__import__", "compile", "importlib.reload", "runpy.run_path"})
_SILENCERS = frozenset({"warnings.filterwarnings", "warnings.simplefilter", "logging.disable"})
_ENVIRONMENT_CALLS = frozenset(
    {"os.environ.update", "os.environ.setdefault", "os.environ.pop", "os.putenv", "os.unsetenv"}
)
_CHECK_SWITCHES = frozenset({"MIGRATION_MODULES", "SILENCED_SYSTEM_CHECKS", "TEST_RUNNER", "TEST_DISCOVER_PATTERN"})
_UNSAFE_CALLS = frozenset({"disable_warnings", "unsafe_load", "mktemp"})
_ALWAYS = frozenset({"__eq__", "__ne__", "__contains__", "__bool__", "__instancecheck__", "__hash__"})
_TEST_MARKS = frozenset({"PYTEST_CURRENT_TEST", "PYTEST_VERSION", "PYTEST_XDIST_WORKER"})
_DESTRUCTIVE = frozenset(
    {
        "DeleteModel",
        "RemoveField",
        "RunSQL",
        "RunPython",
        "SeparateDatabaseAndState",
        "drop_table",
        "drop_column",
    }
)


Names = Mapping[str, str]
_NAMED = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True, slots=True)
class Smell:
    """`key` is equal for the same construct before and after; `line` is not part of it."""

    rule: str
    key: str
    line: int
    message: str


def new_smells(old: ast.Module | None, new: ast.Module) -> list[Smell]:
    """What `new` has more often than `old`."""
    known = Counter((smell.rule, smell.key) for smell in smells(old)) if old else Counter[tuple[str, str]]()
    fresh = []
    for smell in smells(new):
        if known[smell.rule, smell.key] > 0:
            known[smell.rule, smell.key] -= 1
        elif not (old is None and smell.rule == "special-case"):
            fresh.append(smell)
    return fresh


def smells(tree: ast.Module) -> Iterator[Smell]:
    imported = _imported_names(tree)
    for owner, node in _walk(tree, ""):
        line = getattr(node, "lineno", 0)
        for rule, key, message in _of_node(node, imported):
            scope = owner if rule in {"swallowed-exception", "special-case"} else ""
            yield Smell(rule, f"{scope}:{key}", line, message)


def _walk(node: ast.AST, owner: str) -> Iterator[tuple[str, ast.AST]]:
    for child in ast.iter_child_nodes(node):
        yield owner, child
        inner = f"{owner}.{child.name}" if isinstance(child, _NAMED) else owner
        yield from _walk(child, inner)


def _imported_names(tree: ast.Module) -> Names:
    """Each name that an import binds, and the dotted name it stands for."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                names[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name: f"{node.module or ''}.{alias.name}" for alias in node.names}
    return names


Smells = Iterator[tuple[str, str, str]]


def _of_node(node: ast.AST, imported: Names) -> Smells:
    if isinstance(node, ast.ExceptHandler):
        yield from _handler(node)
    elif isinstance(node, ast.Call):
        yield from _call(node, imported)
    elif isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign | ast.Delete):
        yield from _assignment(node, imported)
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        yield from _function(node)
    elif isinstance(node, ast.Attribute | ast.Name | ast.ImportFrom):
        yield from _mention(node, imported)
    elif isinstance(node, ast.Assert):
        if _is_always_true(node.test):
            yield "assertion-loosened", dump(node.test), "this assertion cannot fail"
    elif isinstance(node, ast.If | ast.IfExp):
        yield from _condition(node)
    elif isinstance(node, ast.Constant):
        if isinstance(node.value, str) and node.value in _TEST_MARKS:
            yield "detects-tests", node.value, "the code asks whether a test is running"
        elif node.value == "pytest11":
            yield "test-hook", "pytest11", "a plugin for pytest is registered"
    elif isinstance(node, ast.Try):
        if any(isinstance(child, ast.Return | ast.Break | ast.Continue) for child in node.finalbody):
            yield "swallowed-exception", "finally", "leaving a finally block drops the exception"
    elif isinstance(node, ast.match_case):
        yield from _case(node)
    elif isinstance(node, ast.Compare):
        where = dotted(node.comparators[0])
        named = isinstance(node.left, ast.Constant) and isinstance(node.left.value, str)
        if where in {"sys.modules", "sys.argv"} and named:
            yield "detects-tests", dump(node), "the code asks how it was started"
    elif isinstance(node, ast.Dict | ast.keyword):
        yield from _pairs(node)


def dotted(node: ast.AST | None) -> str:
    """`a.b.c` for names and attributes, else ""."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        base = dotted(node.value)
        return f"{base}.{node.attr}" if base else ""
    return ""


def _resolved(node: ast.AST, imported: Names) -> str:
    """`dotted`, with an import's own name or alias read as what was imported."""
    root, dot, rest = dotted(node).partition(".")
    return f"{imported.get(root, root)}{dot}{rest}"


def _is_idle(statement: ast.stmt) -> bool:
    """Whether a statement, alone in a handler, only forgets the failure: nothing, a constant, a message."""
    if isinstance(statement, ast.Pass | ast.Continue | ast.Break):
        return True
    if isinstance(statement, ast.Return):
        return statement.value is None or _is_plain(statement.value)
    if isinstance(statement, ast.Assign):
        return _is_plain(statement.value)
    if isinstance(statement, ast.Expr):
        if isinstance(statement.value, ast.Constant):
            return True
        name = dotted(statement.value.func) if isinstance(statement.value, ast.Call) else ""
        return name == "print" or name.partition(".")[0] in {
            "log",
            "logger",
            "logging",
            "warnings",
            "traceback",
            "_logger",
        }
    return False


def _is_plain(value: ast.expr) -> bool:
    if isinstance(value, ast.List | ast.Tuple | ast.Set):
        return not value.elts
    if isinstance(value, ast.Dict):
        return not value.keys
    return isinstance(value, ast.Constant)


def _handler(node: ast.ExceptHandler) -> Smells:
    caught = "bare" if node.type is None else _caught_key(node.type)
    broad = node.type is None or not _BROAD.isdisjoint(_caught_names(node.type))
    raises = any(isinstance(child, ast.Raise) for child in ast.walk(node))
    if all(_is_idle(statement) for statement in node.body):
        yield "swallowed-exception", caught, "this handler drops the exception"
    elif broad and not raises:
        yield "swallowed-exception", f"broad {caught}", "this handler catches everything and does not raise"


def _caught_names(node: ast.expr) -> set[str]:
    return {dotted(part).rpartition(".")[2] for part in (node.elts if isinstance(node, ast.Tuple) else [node])}


def _caught_key(node: ast.expr) -> str:
    aliases = {"IOError": "OSError", "EnvironmentError": "OSError", "error": "OSError"}  # socket.error
    return " ".join(sorted({aliases.get(name, name) for name in _caught_names(node)}))


def _call(node: ast.Call, imported: Names) -> Smells:
    name = _resolved(node.func, imported)
    last = name.rpartition(".")[2] or getattr(node.func, "attr", "")
    if last == "suppress":
        caught = " ".join(sorted({_caught_key(arg) for arg in node.args}))
        yield "swallowed-exception", caught, "contextlib.suppress drops the exception"
    if name in _EXITS:
        yield "forced-exit", dump(node), f"{name}() ends the process"
    if name in _DYNAMIC:
        yield "dynamic-code", dump(node), f"{name}() runs code that cannot be judged"
    if name in _SILENCERS:
        yield "warnings-silenced", dump(node), f"{name}() hides warnings"
    if name.startswith("sys.modules."):
        yield "module-patched", dump(node), "sys.modules is changed"
    if name in _ENVIRONMENT_CALLS:
        yield "environment-changed", dump(node), "the environment of what runs later is changed"
    if last in _UNSAFE_CALLS:
        yield "security-loosened", dump(node), f"{last} leaves out a security check"
    if last == "setattr" and node.args and dotted(node.args[0]).partition(".")[0] in imported and name == "setattr":
        yield "module-patched", dump(node), "an imported name is changed in place"
    if last in {"update", "setdefault", "pop", "__setitem__"} and isinstance(node.func, ast.Attribute):
        target = node.func.value
        called = dotted(target.func) if isinstance(target, ast.Call) else ""
        if called in {"globals", "vars", "locals"} or getattr(target, "attr", "") == "__dict__":
            yield "module-patched", dump(node), "a namespace is changed in place"
    yield from _loosened_call(node, last)


def _loosened_call(node: ast.Call, last: str) -> Smells:
    expects = last in {"raises", "assertRaises", "assertRaisesRegex", "warns"} and node.args and not node.keywords
    if expects and not _BROAD.isdisjoint(_caught_names(node.args[0])):
        yield "assertion-loosened", dump(node), "any exception satisfies this"
    if last in {"assertTrue", "assertFalse", "assertIsNotNone"} and node.args and _is_always_true(node.args[0]):
        yield "assertion-loosened", dump(node), "this assertion cannot fail"
    if last == "cast" and node.args and dotted(node.args[0]).endswith("Any"):
        yield "typing-loosened", dump(node), "cast to Any switches the type checker off"


def _assignment(node: ast.Assign | ast.AugAssign | ast.AnnAssign | ast.Delete, imported: Names) -> Smells:
    targets = node.targets if isinstance(node, ast.Assign | ast.Delete) else [node.target]
    for target in targets:
        name = dotted(target)
        if name in _CHECK_SWITCHES:
            yield "checker-config", dump(node), f"{name} changes what is checked"
        elif name in _ALWAYS:
            yield "assertion-loosened", dump(node), f"{name} is replaced"
        elif name.rpartition(".")[2] in _COLLECTION_NAMES:
            yield "test-skipped", dump(node), f"{name} changes which tests run"
        elif isinstance(target, ast.Attribute) and _is_foreign(name, imported):
            yield "module-patched", dump(node), f"{name} belongs to another module"
        elif isinstance(target, ast.Subscript):
            held = target.value
            called = dotted(held.func) if isinstance(held, ast.Call) else ""
            if dotted(held) == "os.environ":
                yield "environment-changed", dump(node), "the environment of what runs later is changed"
            elif dotted(held) == "sys.modules" or called in {"globals", "vars", "locals"}:
                yield "module-patched", dump(node), "a module or namespace is replaced"
            elif getattr(held, "attr", "") == "__dict__" or dotted(held) == "__builtins__":
                yield "module-patched", dump(node), "a namespace is changed in place"
        elif name == "managed" and isinstance(node, ast.Assign) and _is_false(node.value):
            yield "migration-trick", dump(node), "managed = False hides a model from migrations"


def _is_foreign(name: str, imported: Names) -> bool:
    root = name.partition(".")[0]
    return root in imported or root in {"builtins", "__builtins__"}


def _function(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Smells:
    if node.name.startswith("pytest_") or node.name in {"load_tests", "setUpModule"}:
        yield "test-hook", dump(node), f"{node.name} can change how tests are collected or reported"
    returned = [child.value for child in ast.walk(node) if isinstance(child, ast.Return)]
    if node.name in _ALWAYS and returned and all(isinstance(value, ast.Constant) for value in returned):
        yield "assertion-loosened", f"{node.name} {dump(node)}", f"{node.name} always gives the same answer"
    leaves = node.name in {"__exit__", "__aexit__"}
    if leaves and any(isinstance(value, ast.Constant) and value.value for value in returned):
        yield "swallowed-exception", dump(node), f"{node.name} drops every exception"
    for decorator in node.decorator_list:
        if isinstance(decorator, ast.Call) and any(
            keyword.arg == "autouse" and not _is_false(keyword.value) for keyword in decorator.keywords
        ):
            yield "test-hook", dump(node), f"{node.name} runs around every test"


def _mention(node: ast.Attribute | ast.Name | ast.ImportFrom, imported: Names) -> Smells:
    if isinstance(node, ast.ImportFrom):
        if (node.module or "").partition(".")[0] in {"pytest", "unittest", "_pytest"}:
            for alias in node.names:
                if alias.name in _SKIPS | {"skip"}:
                    yield "test-skipped", f"import {alias.name}", f"{alias.name} is imported to skip tests"
        return
    name = dotted(node)
    last = node.attr if isinstance(node, ast.Attribute) else node.id
    root = _resolved(node, imported).partition(".")[0]
    if last in _SKIPS or (last == "skip" and root in {"pytest", "unittest", "mark"}):
        yield "test-skipped", dump(node), f"{name or last} skips tests or expects them to fail"
    if last in {"_create_unverified_context", "CERT_NONE"}:
        yield "security-loosened", last, "certificates are no longer verified"
    if last in {"no_type_check", "no_type_check_decorator"}:
        yield "typing-loosened", last, f"{last} switches the type checker off"


def _condition(node: ast.If | ast.IfExp) -> Smells:
    test = node.test
    if isinstance(test, ast.UnaryOp) and dotted(test.operand).endswith("TYPE_CHECKING"):
        yield "typing-loosened", dump(test), "code is hidden from the type checker"
    answers = node.body[0] if isinstance(node, ast.If) and len(node.body) == 1 else node.body
    answer = answers.value if isinstance(answers, ast.Return) else answers
    compares = isinstance(test, ast.Compare) and isinstance(test.ops[0], ast.Eq | ast.In)
    literal = isinstance(test, ast.Compare) and isinstance(
        test.comparators[0], ast.Constant | ast.Tuple | ast.List | ast.Set
    )
    if compares and literal and isinstance(answer, ast.Constant) and answer.value is not None:
        yield "special-case", dump(node), "one value is answered with a constant"


def _case(node: ast.match_case) -> Smells:
    only = node.body[0] if len(node.body) == 1 else None
    answer = only.value if isinstance(only, ast.Return) else None
    if isinstance(node.pattern, ast.MatchValue) and isinstance(answer, ast.Constant):
        yield "special-case", dump(node), "one value is answered with a constant"


def _pairs(node: ast.Dict | ast.keyword) -> Smells:
    pairs: list[tuple[object, ast.expr]] = []
    if isinstance(node, ast.keyword):
        pairs = [(node.arg, node.value)]
        if node.arg == "verify" and _is_false(node.value):
            yield "security-loosened", "verify", "certificates are no longer verified"
        if node.arg == "shell" and isinstance(node.value, ast.Constant) and node.value.value:
            yield "security-loosened", "shell", "a command goes through a shell"
    else:
        keys = (key.value if isinstance(key, ast.Constant) else None for key in node.keys)
        pairs = list(zip(keys, node.values, strict=True))
    if any(name == "managed" and _is_false(value) for name, value in pairs):
        yield "migration-trick", "managed", "managed=False hides a model from migrations"


def _is_false(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and not node.value


def _is_always_true(node: ast.expr) -> bool:
    if isinstance(node, ast.Constant):
        return bool(node.value)
    if isinstance(node, ast.Tuple | ast.List):
        return bool(node.elts)
    if isinstance(node, ast.BoolOp):
        decide = any if isinstance(node.op, ast.Or) else all
        return decide(_is_always_true(value) for value in node.values)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return isinstance(node.operand, ast.Constant) and not node.operand.value
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and isinstance(node.ops[0], ast.Eq | ast.Is):
        return dump(node.left) == dump(node.comparators[0])
    return isinstance(node, ast.Lambda)


def destructive_operations(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and name of operations of a new migration that lose data or run code of their own."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == "downgrade":
            continue  # undoing what the migration adds is what it is for
        for child in ast.walk(node):
            name = dotted(child.func).rpartition(".")[2] if isinstance(child, ast.Call) else ""
            if name in _DESTRUCTIVE:
                yield child.lineno, name  # type: ignore[attr-defined]  # only calls have a name here
