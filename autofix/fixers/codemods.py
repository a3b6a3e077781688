"""Names that the standard library has dropped, rewritten to those that took their place.

Only what is the same thing under another name is here; what needs thought is left to people.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import libcst as cst
from libcst.codemod import CodemodContext
from libcst.codemod.visitors import AddImportsVisitor, RemoveImportsVisitor
from libcst.helpers import get_full_name_for_node
from libcst.metadata import MetadataWrapper, QualifiedNameProvider, QualifiedNameSource

from autofix.decision import Candidate, Strategy
from autofix.failures import FailureType
from autofix.fixers import project
from autofix.fixers.base import Bench, CannotFix, Failure, Proposal, Trials
from autofix.fixers.tables import words

_ABSTRACT = words(
    "Awaitable Coroutine AsyncIterable AsyncIterator AsyncGenerator Hashable Iterable Iterator Generator Reversible "
    "Sized Container Callable Collection Set MutableSet Mapping MutableMapping MappingView KeysView ItemsView "
    "ValuesView Sequence MutableSequence ByteString"
)
RENAMES: dict[str, str] = {
    **{f"collections.{name}": f"collections.abc.{name}" for name in _ABSTRACT},
    "fractions.gcd": "math.gcd",
    "base64.encodestring": "base64.encodebytes",
    "base64.decodestring": "base64.decodebytes",
    "xml.etree.cElementTree": "xml.etree.ElementTree",
    "imp.reload": "importlib.reload",
    "configparser.SafeConfigParser": "configparser.ConfigParser",
    "pipes.quote": "shlex.quote",
    "locale.format": "locale.format_string",
    "asyncio.coroutine": "types.coroutine",
    "inspect.getargspec": "inspect.getfullargspec",
}
_TYPES = frozenset((FailureType.RUNTIME, FailureType.TEST_ASSERT))
_IMPORT_NAME = re.compile(r"cannot import name '(\w+)' from '([\w.]+)'")
_ATTRIBUTE = re.compile(r"AttributeError: module '([\w.]+)' has no attribute '(\w+)'")
_NO_MODULE = re.compile(r"No module named '([\w.]+)'")
_FRAMES = re.compile(r'(?m)^\s*(?:E\s+)?File "([^"\n]+\.py)", line \d+|^(\S+\.py):\d+:')
_GUARDS = frozenset(("ImportError", "ModuleNotFoundError", "AttributeError", "Exception"))
_MAX_FILES = 40
_ROUNDS = 4  # an import that works lets the next one fail


def removed_names(log: str) -> set[str]:
    """The old names of the table that the log says are gone."""
    named = {f"{module}.{name}" for name, module in _IMPORT_NAME.findall(log)}
    named |= {f"{module}.{name}" for module, name in _ATTRIBUTE.findall(log)}
    for module in _NO_MODULE.findall(log):
        named |= {old for old in RENAMES if old == module or old.startswith(f"{module}.")}
    return named & RENAMES.keys()


def rewrite(source: str, renames: dict[str, str]) -> str | None:
    """The source with the old names replaced; None where it cannot be parsed. Guarded imports stay as they are."""
    try:
        wrapper = MetadataWrapper(cst.parse_module(source))
        context = CodemodContext()
        changed = wrapper.visit(_Renamer(context, renames))
        if changed.code == source:
            return source
        return AddImportsVisitor(context).transform_module(RemoveImportsVisitor(context).transform_module(changed)).code
    except (cst.ParserSyntaxError, cst.CSTValidationError, RecursionError):
        return None


class _Renamer(cst.CSTTransformer):
    METADATA_DEPENDENCIES = (QualifiedNameProvider,)

    def __init__(self, context: CodemodContext, renames: dict[str, str]) -> None:
        super().__init__()
        self.context, self.renames, self.guarded = context, renames, 0

    def visit_Try(self, node: cst.Try) -> None:  # noqa: N802 - the name libcst calls
        self.guarded += _is_guard(node)

    def leave_Try(self, original_node: cst.Try, updated_node: cst.Try) -> cst.Try:  # noqa: N802 - the name libcst calls
        self.guarded -= _is_guard(original_node)
        return updated_node

    def leave_SimpleStatementLine(  # noqa: N802 - the name libcst calls
        self, original_node: cst.SimpleStatementLine, updated_node: cst.SimpleStatementLine
    ) -> cst.SimpleStatementLine | cst.FlattenSentinel[cst.SimpleStatementLine]:
        if self.guarded or len(updated_node.body) != 1 or not isinstance(updated_node.body[0], cst.ImportFrom):
            return updated_node
        statements = self._split(updated_node.body[0])
        lines = [cst.SimpleStatementLine([statement]) for statement in statements]
        first = lines[0].with_changes(
            leading_lines=updated_node.leading_lines, trailing_whitespace=updated_node.trailing_whitespace
        )
        return cst.FlattenSentinel([first, *lines[1:]]) if len(lines) > 1 else first

    def _split(self, node: cst.ImportFrom) -> list[cst.ImportFrom]:
        """One import as one per module its names now live in."""
        module = get_full_name_for_node(node.module) if node.module is not None else None
        if node.relative or module is None or isinstance(node.names, cst.ImportStar):
            return [node]
        kept, moved = list[cst.ImportAlias](), dict[str, list[cst.ImportAlias]]()
        for alias in node.names:
            new = self.renames.get(f"{module}.{alias.evaluated_name}")
            if new is None:
                kept.append(alias)
                continue
            home, _, name = new.rpartition(".")
            moved.setdefault(home, []).append(_renamed(alias, name))
        if not moved:
            return [node]
        new_nodes = [] if not kept else [_with_names(node, kept)]
        for home, aliases in moved.items():
            if home == module and kept:
                new_nodes[0] = _with_names(node, [*kept, *aliases])
            else:
                new_nodes.append(_with_names(node, aliases).with_changes(module=_dotted(home)))
        return new_nodes

    def leave_ImportAlias(  # noqa: N802 - the name libcst calls
        self, original_node: cst.ImportAlias, updated_node: cst.ImportAlias
    ) -> cst.ImportAlias:
        new = self.renames.get(original_node.evaluated_name)
        if new and not self.guarded and "." in original_node.evaluated_name and original_node.asname:
            return updated_node.with_changes(name=_dotted(new))
        return updated_node

    def leave_Attribute(  # noqa: N802 - the name libcst calls
        self, original_node: cst.Attribute, updated_node: cst.Attribute
    ) -> cst.BaseExpression:
        new = None if self.guarded else self._new_name(original_node)
        if new is None:
            return updated_node
        home = new.rpartition(".")[0]
        old_home = next(
            old for old, value in self.renames.items() if value == new and old in self._names(original_node)
        )
        AddImportsVisitor.add_needed_import(self.context, home)
        RemoveImportsVisitor.remove_unused_import(self.context, old_home.rpartition(".")[0])
        return cst.parse_expression(new)

    def leave_Assign(self, original_node: cst.Assign, updated_node: cst.Assign) -> cst.Assign:  # noqa: N802 - the name libcst calls
        """`a, b, c, d = getargspec(f)`: the successor has more fields, the first four being the same."""
        target, call = original_node.targets[0].target, original_node.value
        if not (isinstance(target, cst.Tuple) and len(target.elements) == 4 and isinstance(call, cst.Call)):
            return updated_node
        if "inspect.getargspec" in self._names(call.func) and "inspect.getargspec" in self.renames:
            first_four = cst.SubscriptElement(cst.Slice(lower=None, upper=cst.Integer("4")))
            return updated_node.with_changes(value=cst.Subscript(updated_node.value, [first_four]))
        return updated_node

    def _names(self, node: cst.CSTNode) -> set[str]:
        found = self.get_metadata(QualifiedNameProvider, node, set())
        return {name.name for name in found if name.source is QualifiedNameSource.IMPORT}

    def _new_name(self, node: cst.Attribute) -> str | None:
        return next((self.renames[name] for name in self._names(node) if name in self.renames), None)


def _is_guard(node: cst.Try) -> bool:
    """Whether a handler catches what a missing name raises: then the code knows already."""
    for handler in node.handlers:
        if handler.type is None:
            return True
        types = handler.type.elements if isinstance(handler.type, cst.Tuple) else [cst.Element(handler.type)]
        if any(get_full_name_for_node(item.value) in _GUARDS for item in types):
            return True
    return False


def _renamed(alias: cst.ImportAlias, name: str) -> cst.ImportAlias:
    """The alias under its new name, bound to the name the module already uses."""
    if name == alias.evaluated_name:
        return alias
    bound = alias.asname or cst.AsName(cst.Name(alias.evaluated_name))
    return alias.with_changes(name=cst.Name(name), asname=bound)


def _with_names(node: cst.ImportFrom, aliases: Sequence[cst.ImportAlias]) -> cst.ImportFrom:
    if isinstance(node.names, Sequence) and len(node.names) == len(aliases):
        return node.with_changes(names=aliases)
    plain = [alias.with_changes(comma=cst.MaybeSentinel.DEFAULT) for alias in aliases]
    return node.with_changes(names=plain, lpar=None, rpar=None)


def _dotted(name: str) -> cst.Attribute | cst.Name:
    node: cst.Attribute | cst.Name = cst.Name(name.split(".")[0])
    for part in name.split(".")[1:]:
        node = cst.Attribute(node, cst.Name(part))
    return node


class RemovedNamesFixer:
    name = "python.removed_names"

    def candidates(self, failure: Failure) -> Sequence[Candidate]:
        gone = removed_names(failure.log)
        if failure.signal.type not in _TYPES or not gone or failing_file(failure) is None:
            return ()
        label = ", ".join(sorted(gone))
        return [
            Candidate(
                key=f"{self.name}:{label}",
                fixer=self.name,
                strategy=Strategy.PATCH,
                title=f"Replace what Python no longer has: {label}",
                risk=6,
            )
        ]

    def trials(self, candidate: Candidate, failure: Failure, bench: Bench) -> Trials:
        start = failing_file(failure)
        if start is None:
            raise CannotFix("the failure points at no file of the project")
        gone = removed_names(failure.log)
        for _ in range(_ROUNDS):
            changed = _replace(bench, start, {name.rpartition(".")[0] for name in gone})
            if not changed:
                raise CannotFix("the names are used in a way that cannot be replaced mechanically")
            result = yield Proposal(summary=f"Replace names that Python no longer has in {', '.join(changed[:4])}")
            further = removed_names(result.log)
            if further <= gone:
                raise CannotFix("the step still fails, and no further name is gone")
            gone |= further


def _replace(bench: Bench, start: str, modules: set[str]) -> list[str]:
    """Replace what these modules dropped, in the package of `start`; returns the files that changed."""
    renames = {old: new for old, new in RENAMES.items() if old.rpartition(".")[0] in modules}
    changed = []
    for path in _package_files(bench.root, start):
        source = project.read(bench.root, path)
        edited = rewrite(source, renames) if source and any(_mentions(source, old) for old in renames) else None
        if source and edited and edited != source:
            project.write(bench.root, path, edited)
            changed.append(path)
    return changed


def failing_file(failure: Failure) -> str | None:
    """The last file of the project in the traceback, relative to the workspace."""
    root = failure.root.resolve()
    for one, other in reversed(_FRAMES.findall(failure.log)):
        path = project.inside(failure.root, Path(failure.step.cwd) / (one or other))
        relative = path.relative_to(root).as_posix() if path else ""
        if relative and "site-packages" not in relative and not project.SKIPPED & set(relative.split("/")):
            return relative
    return None


def _package_files(root: Path, start: str) -> Iterable[str]:
    """The file and its package's other files; a module at the root stands alone with its neighbours' tests left out."""
    top = Path(start).parent
    while top != Path() and (root / top.parent / "__init__.py").is_file():
        top = top.parent
    if top == Path():
        return [start]
    inner = [(top / path).as_posix() for path in project.files(root / top, ".py")]
    others = [path for path in inner if path != start and not re.search(r"(?:^|/)(?:tests?/|test_|conftest)", path)]
    return [start, *others[: _MAX_FILES - 1]]


def _mentions(source: str, old: str) -> bool:
    module, _, name = old.rpartition(".")
    return name in source and module.split(".")[0] in source
