"""Alembic revisions that are missing or conflict: let Alembic make them, then look at what it made."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from autofix.decision import Candidate, Strategy
from autofix.failures import FailureType
from autofix.fixers import project
from autofix.fixers.base import Bench, CannotFix, CommandResult, Failure, Proposal, Trials
from autofix.fixers.shell import invocations
from autofix.fixers.tables import words
from metabuilder.builds.plans import Effects

_TYPES = frozenset((FailureType.SCHEMA_MIGRATION, FailureType.RUNTIME))
_HEADS = re.compile(r"Multiple head revisions are present|Multiple heads are present|multiple heads")
_UPGRADE = re.compile(r"\balembic\b[^;&|\n]*\bupgrade\s+heads?\b")
_PENDING = re.compile(r"New upgrade operations detected")
_GLOBAL_OPTIONS = frozenset(("-c", "--config", "-n", "--name", "-x"))
_ADDING = words("create_table add_column create_index")
_ON_TABLE = words(
    "create_table drop_table rename_table add_column drop_column alter_column create_index drop_index bulk_insert "
    "create_unique_constraint create_foreign_key create_check_constraint create_primary_key drop_constraint"
)


@dataclass(frozen=True, slots=True)
class Revision:
    """A revision file: its id, the ids it follows, and the calls `op.kind(table, column)` of its upgrade."""

    path: str
    id: str
    follows: tuple[str, ...]
    operations: tuple[tuple[str, str, str], ...]
    rejects_rows: bool = False  # it adds a column that existing rows have no value for


def read_revision(path: str, text: str) -> Revision | None:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return None
    values: dict[str, ast.expr] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            values[node.targets[0].id] = node.value
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            values[node.target.id] = node.value
    own = _texts(values.get("revision"))
    upgrade = next((n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == "upgrade"), None)
    if not own or upgrade is None or "down_revision" not in values:
        return None
    tables = _batches(upgrade)
    calls = [node for node in ast.walk(upgrade) if isinstance(node, ast.Call) and _is_operation(node, tables)]
    operations = tuple(_operation(call, tables) for call in calls)
    return Revision(path, own[0], tuple(_texts(values["down_revision"])), operations, any(map(_rejects, calls)))


def _batches(upgrade: ast.FunctionDef) -> dict[str, str]:
    """The tables behind names such as `batch_op`, of `with op.batch_alter_table("book") as batch_op:`."""
    items = [item for node in ast.walk(upgrade) if isinstance(node, ast.With) for item in node.items]
    return {
        item.optional_vars.id: (_texts(item.context_expr.args[0]) or [""])[0]
        for item in items
        if isinstance(item.optional_vars, ast.Name)
        and isinstance(item.context_expr, ast.Call)
        and item.context_expr.args
    }


def _texts(node: ast.expr | None) -> list[str]:
    items = node.elts if isinstance(node, ast.Tuple | ast.List) else [node]
    return [item.value for item in items if isinstance(item, ast.Constant) and isinstance(item.value, str)]


def _is_operation(call: ast.Call, tables: Mapping[str, str]) -> bool:
    target = call.func
    if not isinstance(target, ast.Attribute) or not isinstance(target.value, ast.Name):
        return False
    return target.value.id in tables or (target.value.id == "op" and target.attr not in ("batch_alter_table", "f"))


def _operation(call: ast.Call, tables: Mapping[str, str]) -> tuple[str, str, str]:
    """Kind, table, and column or index."""
    assert isinstance(call.func, ast.Attribute)
    assert isinstance(call.func.value, ast.Name)
    kind, names = call.func.attr, [_name_in(argument) for argument in call.args]
    if call.func.value.id in tables:
        return kind, tables[call.func.value.id], (names or [""])[0]
    names += ["", ""]
    if "index" in kind or "constraint" in kind:
        return kind, names[1], names[0]
    return kind, names[0], names[1]


def _name_in(argument: ast.expr) -> str:
    """The text of a plain argument, or of the first argument of `sa.Column(…)` and `op.f(…)`."""
    if isinstance(argument, ast.Call):
        return _name_in(argument.args[0]) if argument.args else ""
    return (_texts(argument) or [""])[0]


def _rejects(call: ast.Call) -> bool:
    """`add_column` of a column that may not be null and has no default in the database."""
    if not isinstance(call.func, ast.Attribute) or call.func.attr != "add_column":
        return False
    column = next((argument for argument in call.args if isinstance(argument, ast.Call)), None)
    keywords = {k.arg: k.value for k in column.keywords} if column else {}
    nullable = keywords.get("nullable")
    return isinstance(nullable, ast.Constant) and nullable.value is False and "server_default" not in keywords


def revisions_of(root: Path) -> dict[str, Revision]:
    found = [read_revision(path, project.read(root, path) or "") for path in project.files(root, ".py")]
    return {revision.id: revision for revision in found if revision}


def heads(revisions: Mapping[str, Revision]) -> list[str]:
    followed = {needed for revision in revisions.values() for needed in revision.follows}
    return sorted(revisions.keys() - followed)


def why_not_merge(revisions: Mapping[str, Revision]) -> str | None:
    """Why the branches may not simply be merged; None where no two of them touch the same table in a risky way."""
    ends = heads(revisions)
    if len(ends) < 2:
        return "the branches could not be read"
    history = {head: _ancestors(revisions, head) for head in ends}
    for index, one in enumerate(ends):
        for other in ends[index + 1 :]:
            left = _operations(revisions, history[one] - history[other])
            right = _operations(revisions, history[other] - history[one])
            for first in left:
                for second in right:
                    if _clash(first, second):
                        return f"{one} and {other} are not independent: both touch {first[1] or first[0]}"
    return None


def _clash(one: tuple[str, str, str], other: tuple[str, str, str]) -> bool:
    if not {one[0], other[0]} <= _ON_TABLE:
        return True  # raw SQL and the like: the order may matter
    return one[1] == other[1] and (not {one[0], other[0]} <= _ADDING or one[2] == other[2])


def _ancestors(revisions: Mapping[str, Revision], head: str) -> set[str]:
    seen, pending = set[str](), [head]
    while pending:
        name = pending.pop()
        if name in revisions and name not in seen:
            seen.add(name)
            pending += revisions[name].follows
    return seen


def _operations(revisions: Mapping[str, Revision], names: set[str]) -> list[tuple[str, str, str]]:
    return [operation for name in sorted(names) for operation in revisions[name].operations]


def alembic_call(failure: Failure) -> str | None:
    """How the step calls Alembic, up to its subcommand, global options included."""
    for text in project.expand(failure.root, failure.step.run, failure.step.cwd):
        for call in invocations(text, "alembic".__eq__):
            options, pending = list[str](), iter(call.arguments)
            for word in pending:
                if word.value in _GLOBAL_OPTIONS:
                    value = next(pending, None)
                    options += [word.raw, value.raw] if value else []
                elif word.value.startswith("-"):
                    options.append(word.raw)
                else:
                    break
            return call.with_arguments(options)
    return None


class AlembicFixer:
    """Merge several heads, or generate the revision that `alembic check` misses."""

    name = "alembic.revision"

    def candidates(self, failure: Failure) -> Sequence[Candidate]:
        merge, make = bool(_HEADS.search(failure.log)), bool(_PENDING.search(failure.log))
        if failure.signal.type not in _TYPES or not (merge or make) or alembic_call(failure) is None:
            return ()
        return [
            Candidate(
                key=f"{self.name}:{'merge' if merge else 'make'}",
                fixer=self.name,
                strategy=Strategy.PATCH,
                title="Merge the revision branches" if merge else "Generate the missing revision",
                risk=2,
            )
        ]

    def trials(self, candidate: Candidate, failure: Failure, bench: Bench) -> Trials:
        call, before = alembic_call(failure), revisions_of(bench.root)
        if call is None:
            raise CannotFix("the step does not call alembic")
        merge = candidate.key.endswith(":merge")
        reason = why_not_merge(before) if merge else None
        if reason:
            raise CannotFix(f"{reason}; a person has to decide")
        action = 'merge -m "merge heads" heads' if merge else 'revision --autogenerate -m "follow the models"'
        result = bench.run(f"{call} {action}", cwd=failure.step.cwd, services=True)
        after = revisions_of(bench.root)
        new = [after[name] for name in after.keys() - before.keys()]
        if not result.ok or not new:
            raise CannotFix(_why_failed(result))
        for revision in new:
            if {kind for kind, _, _ in revision.operations} - _ADDING or revision.rejects_rows:
                raise CannotFix(f"{revision.path} can lose or reject data; a person has to decide")
        if not merge:
            _upgrade_as_planned(call, failure, bench, heads(before))
        yield Proposal(summary=f"{candidate.title}: {', '.join(Path(revision.path).name for revision in new)}")


def _upgrade_as_planned(call: str, failure: Failure, bench: Bench, old_heads: Sequence[str]) -> None:
    """Bring the plan's own database up to the new revision where an earlier step did so with the old ones.

    Raises CannotFix, with the database taken back, where the failed step does not pass then.
    """
    step = failure.step
    earlier = itertools.takewhile(lambda other: other.name != step.name, failure.plan.order())
    upgrades = [other for other in earlier if _UPGRADE.search(other.run) and other.effects is Effects.WORKSPACE]
    for other in upgrades:
        bench.run(other.run, cwd=other.cwd, env=other.env)
    if upgrades and not bench.run(step.run, cwd=step.cwd).ok:
        for head in old_heads:
            bench.run(f"{call} downgrade {head}", cwd=step.cwd)
        raise CannotFix("with the new revision applied the step still fails")


def _why_failed(result: CommandResult) -> str:
    lines = [line.strip() for line in result.output.splitlines() if line.strip()]
    return f"alembic failed: {lines[-1][:300] if lines else f'exit {result.exit_code}'}"
