"""What a Django migration file does, read from its text: its place in the graph, and what it touches. Pure."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from autofix.fixers.tables import words

_FIELD_OPERATIONS = frozenset(("AddField", "RemoveField", "AlterField", "RenameField"))
_MODEL_OPERATIONS = words(
    "CreateModel DeleteModel RenameModel AlterModelTable AlterModelTableComment AlterUniqueTogether "
    "AlterIndexTogether AlterOrderWithRespectTo AlterModelOptions AlterModelManagers"
)
_MEMBER_OPERATIONS = words("AddIndex RemoveIndex RenameIndex AddConstraint RemoveConstraint")
_HARMLESS = words("CreateModel AddField AlterModelOptions AlterModelManagers AddIndex RenameIndex")
# Keyword arguments of a field that leave its column, and the data in it, alone.
_COLUMN_FREE = words(
    "help_text verbose_name choices validators blank default editable error_messages related_name "
    "related_query_name limit_choices_to upload_to storage db_comment auto_now auto_now_add db_index"
)


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation; `model` and `member` are lower case, `member` a field, index or constraint."""

    kind: str
    model: str = ""
    member: str = ""
    node: ast.Call | None = None

    @property
    def whole_model(self) -> bool:
        return self.kind in _MODEL_OPERATIONS

    @property
    def known(self) -> bool:
        return self.kind in _MODEL_OPERATIONS | _FIELD_OPERATIONS | _MEMBER_OPERATIONS

    def __str__(self) -> str:
        return f"{self.kind}({'.'.join(part for part in (self.model, self.member) if part)})"


@dataclass(frozen=True, slots=True)
class Migration:
    name: str
    dependencies: tuple[tuple[str, str], ...]
    operations: tuple[Operation, ...]


def read_migration(name: str, text: str) -> Migration | None:
    """None where the text is no migration that can be read."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return None
    body = next((n.body for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "Migration"), None)
    if body is None:
        return None
    values = {t.id: n.value for n in body if isinstance(n, ast.Assign) for t in n.targets if isinstance(t, ast.Name)}
    dependencies = [
        (str(_constant(item.elts[0])), str(_constant(item.elts[1])))
        for item in _items(values.get("dependencies"))
        if isinstance(item, ast.Tuple) and len(item.elts) == 2
    ]
    operations = [_operation(item) for item in _items(values.get("operations"))]
    return Migration(name, tuple(dependencies), tuple(operations))


def _items(node: ast.expr | None) -> list[ast.expr]:
    return node.elts if isinstance(node, ast.List | ast.Tuple) else ([node] if node is not None else [])


def _operation(node: ast.expr) -> Operation:
    if not isinstance(node, ast.Call):
        return Operation("unknown")
    kind = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "unknown")
    texts = {
        k.arg: k.value.value
        for k in node.keywords
        if isinstance(k.value, ast.Constant) and isinstance(k.value.value, str)
    }
    first = [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
    model = texts.get("model_name") or (texts.get("name") if kind in _MODEL_OPERATIONS else None)
    model = model or texts.get("old_name" if kind == "RenameModel" else "") or (first[0] if first else "")
    member = texts.get("name") if kind in _FIELD_OPERATIONS | _MEMBER_OPERATIONS else ""
    member = (
        member
        or texts.get("old_name" if kind in ("RenameField", "RenameIndex") else "")
        or (first[1] if len(first) > 1 else "")
    )
    return Operation(kind, model.lower(), member.lower(), node)


def why_not_merge(migrations: Mapping[str, Migration], app: str, leaves: Sequence[str]) -> str | None:
    """Why the branches that end in `leaves` may not simply be merged; None where they are independent."""
    if any(leaf not in migrations for leaf in leaves) or len(leaves) < 2:
        return "the conflicting migrations could not all be read"
    history = {leaf: _ancestors(migrations, app, leaf) for leaf in leaves}
    shared = set.intersection(*history.values())
    for index, one in enumerate(leaves):
        for other in leaves[index + 1 :]:
            left = _operations(migrations, history[one] - history[other])
            right = _operations(migrations, history[other] - history[one])
            clash = _clash(left, right)
            if clash:
                return f"{one} and {other} are not independent: {clash}"
    return (
        None
        if shared or all(not migrations[name].dependencies for name in leaves)
        else "the branches have no common start"
    )


def _ancestors(migrations: Mapping[str, Migration], app: str, leaf: str) -> set[str]:
    seen, pending = set[str](), [leaf]
    while pending:
        name = pending.pop()
        if name in migrations and name not in seen:
            seen.add(name)
            pending += [needed for owner, needed in migrations[name].dependencies if owner == app]
    return seen


def _operations(migrations: Mapping[str, Migration], names: Iterable[str]) -> list[Operation]:
    return [operation for name in sorted(names) for operation in migrations[name].operations]


def _clash(left: Sequence[Operation], right: Sequence[Operation]) -> str | None:
    for operation in (*left, *right):
        if not operation.known and left and right:
            return f"{operation.kind} may depend on the order in which they run"
    for one in left:
        for other in right:
            if not one.model or one.model != other.model:
                continue
            if one.whole_model or other.whole_model or one.member == other.member or "Rename" in one.kind + other.kind:
                return f"both touch {one.model}: {one} and {other}"
    return None


def why_not_automatic(new: Iterable[Migration], earlier: Iterable[Migration]) -> str | None:
    """Why a generated migration needs a person: it can lose data or fail on it. None where it cannot."""
    known = list(earlier)
    for migration in new:
        created = {operation.model for operation in migration.operations if operation.kind == "CreateModel"}
        for operation in migration.operations:
            if operation.kind in _HARMLESS or operation.model in created:
                continue
            reason: str | None = "can lose or reject data"
            if operation.kind == "AlterField":
                reason = _why_not_alter(operation, known)
            if reason:
                return f"{operation} in {migration.name} {reason}"
    return None


def _why_not_alter(operation: Operation, earlier: Sequence[Migration]) -> str | None:
    new, old = _field_of(operation), None
    for migration in earlier:
        for past in migration.operations:
            if past.model == operation.model and (found := _field_of(past, operation.member)) is not None:
                old = found
    if new is None or old is None:
        return "changes a field whose definition could not be read"
    if ast.dump(new.func) != ast.dump(old.func):
        return "changes a field's type"
    before = {k.arg: k.value for k in old.keywords}
    after = {k.arg: k.value for k in new.keywords}
    for name in before.keys() | after.keys():
        if name in _COLUMN_FREE or _same(before.get(name), after.get(name)):
            continue
        was, now = _constant(before.get(name)), _constant(after.get(name))
        grows = name == "max_length" and isinstance(was, int) and isinstance(now, int) and now > was
        if not (grows or (name == "null" and now is True)):
            return f"changes {name}, which the data may not fit"
    return None


def _field_of(operation: Operation, member: str | None = None) -> ast.Call | None:
    """The field an operation defines: the call after `field=`, or in CreateModel's list under `member`."""
    if operation.node is None:
        return None
    keywords = {keyword.arg: keyword.value for keyword in operation.node.keywords}
    if operation.kind in ("AddField", "AlterField") and member in (None, operation.member):
        field = keywords.get("field")
        return field if isinstance(field, ast.Call) else None
    if operation.kind == "CreateModel" and member:
        for item in _items(keywords.get("fields")):
            if isinstance(item, ast.Tuple) and len(item.elts) == 2 and str(_constant(item.elts[0])).lower() == member:
                return item.elts[1] if isinstance(item.elts[1], ast.Call) else None
    return None


def _same(one: ast.expr | None, other: ast.expr | None) -> bool:
    return one is not None and other is not None and ast.dump(one) == ast.dump(other)


def _constant(node: ast.expr | None) -> object:
    return node.value if isinstance(node, ast.Constant) else None
