"""Cheaper patterns for the first pass: each matches wherever the full one does, with far fewer automaton states.

RE2 sets are quick while few of their patterns are half-way through a match. Two things keep patterns half-way: counted
repeats, and wildcards in the middle. The first pass goes without both; the full pattern is then tried on the few blocks
that are left.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

_COUNTED = re.compile(r"(?<!\\)\{(\d*),\d*\}")
_TOKEN = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|.", re.S)
_ENOUGH_LITERALS = 3  # so many plain characters before a wildcard make a useful opening
GROUP_SIZE = 40


def loosened(pattern: str) -> str:
    """`pattern` up to the first wildcard of each alternative, without counted repeats."""
    cut = "|".join(_opening(alternative) for alternative in _alternatives(pattern))
    return _COUNTED.sub(lambda count: "*" if count[1] in ("", "0") else "+", cut)


def _depths(pattern: str) -> Iterator[tuple[str, int]]:
    """Tokens of a pattern with their depth in groups; a group's own parentheses are inside it."""
    depth = 0
    for token in _TOKEN.findall(pattern):
        if token == ")":
            yield token, depth
            depth -= 1
            continue
        depth += token == "("
        yield token, depth


def _alternatives(pattern: str) -> list[str]:
    parts = [""]
    for token, depth in _depths(pattern):
        if token == "|" and depth == 0:
            parts.append("")
        else:
            parts[-1] += token
    return parts


def _opening(alternative: str) -> str:
    tokens = list(_depths(alternative))
    kept, literals = "", 0
    for position, (token, depth) in enumerate(tokens):
        following = tokens[position + 1][0] if position + 1 < len(tokens) else ""
        if depth == 0 and token == "." and following in ("*", "+", "{") and literals >= _ENOUGH_LITERALS:
            return kept
        if depth == 0 and (token.isalnum() or (token[0] == "\\" and not token[1:].isalnum())):
            literals += 1
        kept += token
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
