"""What a gate says to people: the same words in the terminal and in the admin (pure)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from approvals.rules import GateStatus

# What approving does, by the action's type. Keys beside "type" that are shown: summary, details, patch, delta,
# base_commit, reason, label.
MEANINGS: Mapping[str, str] = {
    "apply_patch": "The patch below is applied to the run's branch and has to prove itself: "
    "the failed step runs again with it, and the run goes on only if that passes.",
    "apply_plan": "The plan is changed as shown below, and the run goes on with the new plan.",
    "retry": "The failed step is run again as it is. Nothing is changed.",
    "try_candidate": "The fix named below is tried: the failed step runs again with it. If it proves itself, its "
    "change is committed to the run's branch and the run goes on; if not, everything is put back. If the change "
    "breaks a rule of the guard, you are asked again, with its diff.",
}
REJECTION = "Nothing of it is applied, and the run is rolled back."

_HIDDEN = frozenset({*range(0x200B, 0x2010), *range(0x2028, 0x202F), *range(0x2060, 0x206A), 0xFEFF})


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffLine:
    kind: str  # file, hunk, added, removed, context
    text: str


def visible(text: str) -> str:
    """Return `text` with every character written out that could hide, move or restyle what a person reads."""
    return "".join(_shown(character) for character in text.replace("\r\n", "\n"))


def _shown(character: str) -> str:
    code = ord(character)
    if character in "\n\t" or (0x20 <= code < 0x7F):
        return character
    if code < 0x20 or 0x7F <= code < 0xA0 or code in _HIDDEN:
        return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
    return character


def meaning(action: Mapping[str, Any]) -> list[str]:
    """Return, line by line, exactly what approval does."""
    kind = str(action.get("type", ""))
    lines = [MEANINGS.get(kind, f"The action {kind or 'without a type'} is performed, exactly as written below.")]
    if summary := action.get("summary"):
        lines.append(visible(str(summary)))
    if base := action.get("base_commit"):
        lines.append(f"Base commit: {visible(str(base))}")
    lines.extend(_named(name, value) for name, value in (action.get("details") or {}).items())
    lines.extend(_plan_change(operation) for operation in action.get("delta") or ())
    if label := action.get("label"):
        lines.append(f"How far it is proven: {visible(str(label))}")
    if reason := action.get("reason"):
        lines.append(f"Why people are asked: {visible(str(reason))}")
    return lines


def _named(name: str, value: Any) -> str:
    items = value if isinstance(value, list | tuple) else [value]
    return visible(f"{name.capitalize()}: {', '.join(map(str, items))}")


def _plan_change(operation: Any) -> str:
    if not isinstance(operation, Mapping):
        return visible(str(operation))
    words = {"add": "Adds", "remove": "Removes", "replace": "Changes", "move": "Moves", "copy": "Copies"}
    verb = words.get(str(operation.get("op")), str(operation.get("op")))
    value = f": {json.dumps(operation['value'], ensure_ascii=False)}" if "value" in operation else ""
    source = f" from {operation['from']}" if "from" in operation else ""
    return visible(f"{verb} {operation.get('path')}{source}{value}")


def diff_lines(patch: str) -> list[DiffLine]:
    return [DiffLine(kind=kind, text=visible(line)) for kind, line in _classified(patch.rstrip("\n").split("\n"))]


def _classified(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    in_hunk = False
    for line in lines:
        if line.startswith("diff "):
            in_hunk = False
        if line.startswith("@@"):
            in_hunk = True
            yield "hunk", line
        elif not in_hunk:
            yield "file", line  # "--- a/x" is a header here and a removed "-- a/x" inside a hunk
        else:
            yield {"+": "added", "-": "removed"}.get(line[:1], "context"), line


def evidence_lines(evidence: Sequence[Any]) -> list[str]:
    """Return the deciding log lines with their numbers, in the log's order; nothing in them is interpreted."""
    rows = [row if isinstance(row, Mapping) else {"text": row} for row in evidence]
    rows.sort(key=lambda row: row.get("number") or 0)
    return [f"{row.get('number') or '':>6}  {visible(str(row.get('text', '')))}" for row in rows]


def exact(action: Mapping[str, Any]) -> str:
    """Return the whole action as JSON, but for the patch, which is shown as a diff."""
    rest = {key: value for key, value in action.items() if key != "patch"}
    return visible(json.dumps(rest, indent=2, sort_keys=True, ensure_ascii=False))


def closing(status: str) -> str:
    """Return what a closed gate means, in one line."""
    return {
        GateStatus.PENDING: "It waits for an owner or admin.",
        GateStatus.APPROVED: "It was approved.",
        GateStatus.REJECTED: "It was rejected.",
        GateStatus.EXPIRED: "Nobody decided in time.",
        GateStatus.CANCELLED: "Its run was cancelled or has ended.",
        GateStatus.VOID: "What it was bound to changed before anybody decided.",
    }[GateStatus(status)]
