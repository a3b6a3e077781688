"""Python source as the guard compares it: what formatters and import fixes change is folded away. Pure."""

from __future__ import annotations

import ast
import string
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field

_Function = ast.FunctionDef | ast.AsyncFunctionDef
# Aliases that unittest has dropped, and the names they stand for.
_UNITTEST_ALIASES = {
    "assertEquals": "assertEqual",
    "assertNotEquals": "assertNotEqual",
    "assert_": "assertTrue",
    "assertAlmostEquals": "assertAlmostEqual",
    "assertNotAlmostEquals": "assertNotAlmostEqual",
    "assertRegexpMatches": "assertRegex",
    "assertNotRegexpMatches": "assertNotRegex",
    "assertRaisesRegexp": "assertRaisesRegex",
    "assertItemsEqual": "assertCountEqual",
    "failUnlessEqual": "assertEqual",
    "failUnless": "assertTrue",
    "failIf": "assertFalse",
}
_OS_ERRORS = frozenset({"IOError", "EnvironmentError"})
# Modules whose successor lives in the standard library under the same names.
_BACKPORTS = frozenset(
    {
        "mock",
        "typing_extensions",
        "tomli",
        "importlib_metadata",
        "importlib_resources",
        "zoneinfo",
        "six",
        "backports",
    }
)


def parse(text: str) -> ast.Module | None:
    """None where the text is not Python of this interpreter's version."""
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def dump(node: ast.AST) -> str:
    return ast.dump(node)


@dataclass(frozen=True)
class Outline:
    """A normalised module: its definitions by dotted name (the last of a name counts, as at run time)."""

    functions: dict[str, _Function] = field(default_factory=dict)
    classes: dict[str, ast.ClassDef] = field(default_factory=dict)
    assigned: frozenset[str] = frozenset()  # names bound by statements of the module and of its classes
    statements: tuple[str, ...] = ()  # the rest of the module and class bodies, as dumps with their owner
    positions: dict[str, int] = field(default_factory=dict)
    imports: dict[str, frozenset[str]] = field(default_factory=dict)  # bound name -> where it comes from


def outline(tree: ast.Module) -> Outline:
    """Normalises `tree` in place."""
    imports = _imports(tree)
    normalised = _Normaliser().visit(tree)
    functions: dict[str, _Function] = {}
    classes: dict[str, ast.ClassDef] = {}
    assigned: set[str] = set()
    statements: list[str] = []
    positions: dict[str, int] = {}
    for owner, node in _body_nodes(normalised.body, ""):
        if isinstance(node, _Function):
            functions[f"{owner}{node.name}"] = node
            positions[f"{owner}{node.name}"] = node.lineno
        elif isinstance(node, ast.ClassDef):
            classes[f"{owner}{node.name}"] = node
            positions[f"{owner}{node.name}"] = node.lineno
        elif not isinstance(node, ast.Pass):
            assigned |= {f"{owner}{name}" for name in _bound_names(node)}
            text = f"{owner}|{dump(node)}"
            statements.append(text)
            positions.setdefault(text, node.lineno)
    return Outline(functions, classes, frozenset(assigned), tuple(statements), positions, imports)


def _body_nodes(body: list[ast.stmt], owner: str) -> Iterator[tuple[str, ast.stmt]]:
    """The statements of a module or class body; those of its classes follow with the class as owner."""
    for node in body:
        yield owner, node
        if isinstance(node, ast.ClassDef):
            yield from _body_nodes(node.body, f"{owner}{node.name}.")


def _bound_names(node: ast.stmt) -> set[str]:
    return {child.id for child in ast.walk(node) if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store)}


def _imports(tree: ast.Module) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                bound, origin = alias.asname or alias.name.partition(".")[0], alias.name
                found.setdefault(bound, set()).add(origin if alias.asname else origin.partition(".")[0])
        elif isinstance(node, ast.ImportFrom) and node.module != "__future__":
            for alias in node.names:
                origin = f"{'.' * node.level}{node.module or ''}:{alias.name}"
                found.setdefault(alias.asname or (origin if alias.name == "*" else alias.name), set()).add(origin)
    return {name: frozenset(origins) for name, origins in found.items()}


def is_honest_move(old: str, new: str) -> bool:
    """Whether an import's new origin is the standard library's new home for the same name."""
    old_top, new_top = (origin.partition(":")[0].partition(".")[0] for origin in (old, new))
    same_name = old.rpartition(":")[2].rpartition(".")[2] == new.rpartition(":")[2].rpartition(".")[2]
    known = sys.stdlib_module_names
    return same_name and new_top in known and (old_top in known or old_top in _BACKPORTS)


class _Normaliser(ast.NodeTransformer):
    """Folds away what formatters and linters change without changing what the program does."""

    def visit_Import(self, node: ast.Import) -> None:
        return None

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        return None

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        if isinstance(node.value, ast.Constant):  # docstrings, `...`, stray constants
            return None
        return self.generic_visit(node)

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        body = getattr(node, "body", None)
        if isinstance(body, list):
            kept = [child for child in body if not isinstance(child, ast.Pass)]
            node.body = kept or [ast.Pass(lineno=getattr(node, "lineno", 1), col_offset=0)]  # type: ignore[attr-defined]  # body is a list of statements
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._function(node)

    def _function(self, node: _Function) -> ast.AST:
        node.returns = None
        for argument in ast.walk(node.args):
            if isinstance(argument, ast.arg):
                argument.annotation = None
        self.generic_visit(node)
        # @pytest.fixture() is @pytest.fixture
        node.decorator_list = [
            mark.func if isinstance(mark, ast.Call) and not mark.args and not mark.keywords else mark
            for mark in node.decorator_list
        ]
        if any(isinstance(child, ast.Global | ast.Nonlocal) for child in ast.walk(node)):
            return node  # what it assigns may be read elsewhere
        loaded = {
            child.id for child in ast.walk(node) if isinstance(child, ast.Name) and not isinstance(child.ctx, ast.Store)
        }
        return _UnusedNames(loaded).visit(node)  # type: ignore[no-any-return]  # visit is typed as Any

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        if node.value is None:
            return node
        assign = ast.Assign(targets=[node.target], value=node.value, lineno=node.lineno, col_offset=0)
        return self.generic_visit(assign)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        node.bases = [base for base in node.bases if not (isinstance(base, ast.Name) and base.id == "object")]
        return self.generic_visit(node)

    def visit_If(self, node: ast.If) -> ast.AST | None:
        self.generic_visit(node)
        only_types = isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        if only_types and not node.orelse and all(isinstance(child, ast.Pass) for child in node.body):
            return None
        return node

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return ast.Constant(value=node.value, kind=None)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        self.generic_visit(node)
        if all(isinstance(part, ast.Constant) for part in node.values):
            return ast.Constant(
                value="".join(str(part.value) for part in node.values if isinstance(part, ast.Constant))
            )
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        node.attr = _UNITTEST_ALIASES.get(node.attr, node.attr)
        # collections.Mapping has moved to collections.abc.Mapping
        if isinstance(node.value, ast.Attribute) and dump(node.value) == _COLLECTIONS_ABC:
            node.value = node.value.value
        return node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id in _OS_ERRORS:
            node.id = "OSError"
        return node

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        self.generic_visit(node)
        inner = node.operand
        if isinstance(node.op, ast.Not) and isinstance(inner, ast.Compare) and len(inner.ops) == 1:
            opposite = {ast.In: ast.NotIn, ast.Is: ast.IsNot}.get(type(inner.ops[0]))
            if opposite:
                inner.ops = [opposite()]
                return inner
        return node

    def visit_With(self, node: ast.With) -> ast.AST:
        """`with a: with b:` as `with a, b:`."""
        self.generic_visit(node)
        inner = node.body[0] if len(node.body) == 1 else None
        if isinstance(inner, ast.With):
            node.items, node.body = [*node.items, *inner.items], inner.body
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        """`== None` as `is None` (E711), `is "text"` as `== "text"` (F632)."""
        self.generic_visit(node)
        if len(node.ops) == 1 and isinstance(node.ops[0], ast.Eq | ast.NotEq) and isinstance(node.left, ast.Constant):
            node.left, node.comparators = node.comparators[0], [node.left]
        for index, right in enumerate(node.comparators):
            if not isinstance(right, ast.Constant):
                continue
            swaps = {ast.Eq: ast.Is, ast.NotEq: ast.IsNot} if right.value is None else {}
            if isinstance(right.value, str | bytes | int | float) and not isinstance(right.value, bool):
                swaps = {ast.Is: ast.Eq, ast.IsNot: ast.NotEq}
            swap = swaps.get(type(node.ops[index]))
            if swap:
                node.ops[index] = swap()
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        called = node.func
        if isinstance(called, ast.Name):
            return self._builtin_call(node, called.id)
        if isinstance(called, ast.Attribute) and called.attr == "encode" and isinstance(called.value, ast.Constant):
            node.args = [arg for arg in node.args if not _is_constant(arg, ("utf-8", "utf8", "UTF-8"))]
        return _as_f_string(node) or node

    def _builtin_call(self, node: ast.Call, name: str) -> ast.AST:
        first = node.args[0] if len(node.args) == 1 and not node.keywords else None
        if name == "super" and len(node.args) == 2:
            node.args = []
        elif name == "open" and len(node.args) == 2:
            node.args = [arg for arg in node.args if not _is_constant(arg, ("r", "rt", "U"))]
        elif name == "set" and isinstance(first, ast.List | ast.Tuple) and first.elts:
            return ast.Set(elts=first.elts)
        elif name in {"int", "str", "float", "bytes"} and isinstance(first, ast.Constant):
            return first if type(first.value).__name__ == name else node
        return node


_COLLECTIONS_ABC = dump(ast.parse("collections.abc", mode="eval").body)


class _UnusedNames(ast.NodeTransformer):
    """`x = f()` as `f()`, and `except E as x` as `except E`, where the function never reads x (F841)."""

    def __init__(self, loaded: set[str]) -> None:
        self.loaded = loaded

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
        target = node.targets[0]
        if len(node.targets) == 1 and isinstance(target, ast.Name) and target.id not in self.loaded:
            if isinstance(node.value, ast.Constant | ast.Name):
                return None
            return ast.Expr(value=node.value, lineno=node.lineno, col_offset=0)
        return node

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.AST:
        if node.name and node.name not in self.loaded:
            node.name = None
        return self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return node  # its names are attributes, read from elsewhere


def _is_constant(node: ast.expr, values: tuple[str, ...]) -> bool:
    return isinstance(node, ast.Constant) and node.value in values


def _as_f_string(node: ast.Call) -> ast.JoinedStr | None:
    """`"{}, {}".format(a, b)` as `f"{a}, {b}"`, for plain placeholders in their order."""
    called = node.func
    if not (isinstance(called, ast.Attribute) and called.attr == "format" and isinstance(called.value, ast.Constant)):
        return None
    template = called.value.value
    if not isinstance(template, str) or node.keywords or any(isinstance(arg, ast.Starred) for arg in node.args):
        return None
    try:
        pieces = list(string.Formatter().parse(template))
    except ValueError:
        return None
    values: list[ast.expr] = []
    used = 0
    for literal, name, spec, conversion in pieces:
        if literal:
            values.append(ast.Constant(value=literal))
        if name is None:
            continue
        if name not in {"", str(used)} or spec or conversion or used >= len(node.args):
            return None
        values.append(ast.FormattedValue(value=node.args[used], conversion=-1))
        used += 1
    return ast.JoinedStr(values=values) if used == len(node.args) else None
