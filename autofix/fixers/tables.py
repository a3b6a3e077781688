"""Tables of plain words, written as text. Pure."""

from __future__ import annotations


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())
