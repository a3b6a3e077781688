"""Cheaper patterns for the first pass: each matches wherever the full one does, with far fewer automaton states.

RE2 sets are quick while few of their patterns are half-way through a match. Two things keep patterns half-way: counted
repeats, and wildcards in the middle. The first pass goes without both; the full pattern is then tried on the few blocks
that are left.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

_COUNTED = re.compile(r"(?<!\\)\{(\d*),\d*\}")
_PIECE = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|.", re.S)
_ENOUGH_LITERALS = 3  # so many plain characters before a wildcard make a useful opening
GROUP_SIZE = 40


def loosened(pattern: str) -> str:
    """`pattern` up to the first wildcard of each alternative, without counted repeats."""
    cut = "|".join(_opening(alternative) for alternative in _alternatives(pattern))
    return _COUNTED.sub(lambda count: "*" if count[1] in ("", "0") else "+", cut)


def _depths(pattern: str) -> Iterator[tuple[str, int]]:
    """Pieces of a pattern with their depth in groups; a group's own parentheses are inside it."""
    depth = 0
    for piece in _PIECE.findall(pattern):
        if piece == ")":
            yield piece, depth
            depth -= 1
            continue
        depth += piece == "("
        yield piece, depth


def _alternatives(pattern: str) -> list[str]:
    parts = [""]
    for piece, depth in _depths(pattern):
        if piece == "|" and depth == 0:
            parts.append("")
        else:
            parts[-1] += piece
    return parts


def _opening(alternative: str) -> str:
    pieces = list(_depths(alternative))
    kept, literals = "", 0
    for position, (piece, depth) in enumerate(pieces):
        following = pieces[position + 1][0] if position + 1 < len(pieces) else ""
        if depth == 0 and piece == "." and following in ("*", "+", "{") and literals >= _ENOUGH_LITERALS:
            return kept
        if depth == 0 and (piece.isalnum() or (piece[0] == "\\" and not piece[1:].isalnum())):
            literals += 1
        kept += piece
    return kept


def groups(patterns: Sequence[str]) -> list[list[int]]:
    """Indexes of `patterns` in groups whose automata stay small: alike patterns together, at most GROUP_SIZE each."""
    kinds: dict[str, list[int]] = {}
    for index, pattern in enumerate(patterns):
        kinds.setdefault(_kind(pattern), []).append(index)
    return [
        members[start : start + GROUP_SIZE]
        for members in kinds.values()
        for start in range(0, len(members), GROUP_SIZE)
    ]


def _kind(pattern: str) -> str:
    if pattern.startswith("(?i)"):
        return "any case"
    if pattern.startswith("^"):
        return "place" if "(?P<file>" in pattern[:60] else "line start"
    return "wild" if re.search(r"[.\]][*+]|\\[SwW][*+]", loosened(pattern)) else "plain"
