"""The hash chain of audit events: how a row is hashed, how a head is sealed, and what is wrong with a chain.

Each event's hash covers every column of its row and the hash of the event before it, so that any change
shows. The hashes need no key; the head is sealed with one that the database does not hold, so that
whoever can write to the database cannot make up a chain that verifies.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

GENESIS = "0" * 64  # what the first event of a tenant continues, and the hash of a head without events

# A payload key that the writer sets when the head it continued bore a wrong seal. Sealing the next head would
# otherwise hide that somebody had written to the head.
UNSEALED = "_continues_unsealed_head"

ANCHORED_EVENT_GONE = "deleted: the event that the anchor names is gone"

# Databases keep JSON numbers in their own ways; integers up to here survive all of them, floats too.
_LARGEST_NUMBER = 1e15


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainedEvent:
    """One row of a tenant's chain. Every field but the two hashes is hashed."""

    id: str
    tenant: str
    seq: int
    event_type: str
    subject_type: str
    subject_id: str
    actor_id: str
    actor_name: str
    payload: Mapping[str, Any]
    created_at: datetime
    prev_hash: str = ""
    hash: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The newest event of a tenant's chain. `seq` is 0 while the chain is empty."""

    tenant: str
    seq: int
    hash: str
    seal: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong with a chain. `event_id` is empty where the row is gone or the head is meant."""

    tenant: str
    seq: int
    what: str
    event_id: str = ""


def storable(value: Any) -> Any:
    """Return `value` as JSON that every database gives back unchanged, so that it hashes the same later."""
    if isinstance(value, Mapping):
        return {storable(str(key)): storable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        items = [storable(item) for item in value]
        return sorted(items, key=canonical) if isinstance(value, (set, frozenset)) else items
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, (int, float)):
        return value if math.isfinite(value) and abs(value) <= _LARGEST_NUMBER else str(value)
    # PostgreSQL's jsonb refuses NUL, and neither database stores half a surrogate pair.
    return str(value).replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def canonical(value: Any) -> str:
    """Return the one JSON text of `value`: keys sorted, no spaces, 1.0 written as 1."""
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def event_hash(prev_hash: str, event: ChainedEvent) -> str:
    """Return the hex SHA-256 of `event` as the one that follows `prev_hash`; its own hashes are not read."""
    content = {
        "id": event.id,
        "tenant": event.tenant,
        "seq": event.seq,
        "event_type": event.event_type,
        "subject_type": event.subject_type,
        "subject_id": event.subject_id,
        "actor_id": event.actor_id,
        "actor_name": event.actor_name,
        "payload": event.payload,
        "created_at": event.created_at.astimezone(UTC).isoformat(timespec="microseconds"),
    }
    return hashlib.sha256(f"{prev_hash}\n{canonical(content)}".encode("utf-8", "surrogatepass")).hexdigest()


def seal(key: str, tenant: str, seq: int, hash: str) -> str:
    """Return the hex HMAC-SHA256 of a head."""
    return hmac.new(key.encode(), f"{tenant}\n{seq}\n{hash}".encode(), hashlib.sha256).hexdigest()


def is_sealed(head: Head, key: str) -> bool:
    return hmac.compare_digest(seal(key, head.tenant, head.seq, head.hash), head.seal)


def verify(
    events: Iterable[ChainedEvent], head: Head | None, key: str, *, anchors: Mapping[int, str] | None = None
) -> Iterator[Problem]:
    """Yield what is wrong with one tenant's chain. `events` come in order of `seq` and are read once.

    `anchors` are hashes by `seq` noted outside the database: a chain that was cut or rewritten together with
    its head still fails them.
    """
    walk = _Walk(dict(anchors or {}))
    for event in events:
        yield from walk.step(event)
    yield from walk.missing_anchors(head)
    yield from walk.check_head(head, key)


class _Walk:
    """A walk along one chain that remembers two rows and the anchors still to come."""

    def __init__(self, anchors: dict[int, str]) -> None:
        self.anchors = anchors
        self.last: ChainedEvent | None = None
        self.last_was_named = False  # one problem a row is enough
        self.hash_before_last = ""
        self.shift = 0  # by how much inserted rows pushed the numbers of those after them up

    def step(self, event: ChainedEvent) -> Iterator[Problem]:
        last_seq, last_hash = (self.last.seq, self.last.hash) if self.last else (0, GENESIS)
        gap = event.seq > last_seq + 1
        if gap:
            yield Problem(tenant=event.tenant, seq=last_seq + 1, what=_deleted(last_seq + 1, event.seq - 1))
        intact, linked = self._is_intact(event), event.prev_hash == last_hash
        before_event = last_hash
        if self.last and self._takes_the_place_of_last(event):
            if not self.last_was_named:
                yield _problem(self.last, "inserted: the event after it continues the one before it")
            intact = linked = True
            self.shift += event.seq - self.last.seq
            before_event = self.hash_before_last
        elif intact and not linked and not gap and self.last and not self.last_was_named:
            yield _problem(self.last, "replaced: the event after it continues another one")
        what = self._own_problem(event, intact=intact, linked=linked, gap=gap)
        if what:
            yield _problem(event, what)
        self.hash_before_last = before_event
        self.last, self.last_was_named = event, bool(what)

    def _is_intact(self, event: ChainedEvent) -> bool:
        if self.shift and _matches(event, event.seq):
            self.shift = 0  # its number is its own after all
        return _matches(event, event.seq - self.shift)

    def _takes_the_place_of_last(self, event: ChainedEvent) -> bool:
        """Does `event` belong where the row before it stands? Then that row was put in between."""
        assert self.last
        if event.prev_hash != self.hash_before_last or event.prev_hash == self.last.hash:
            return False
        return _matches(event, self.last.seq - self.shift)

    def _own_problem(self, event: ChainedEvent, *, intact: bool, linked: bool, gap: bool) -> str:
        anchor = self.anchors.pop(event.seq, event.hash)
        if not intact and (linked or gap):
            return "altered: its content does not match its hash"
        if not intact:
            return "altered or moved: neither its content nor the event before it matches its hash"
        if not linked and not gap and not self.last:
            return "replaced: the first event continues nothing"
        if anchor != event.hash:
            return "replaced: the anchor names another event"
        if event.payload.get(UNSEALED):
            return "continues a head that somebody had written to: its seal was wrong at the time"
        return ""

    def missing_anchors(self, head: Head | None) -> Iterator[Problem]:
        known = self.last or head
        for seq in sorted(self.anchors):
            yield Problem(tenant=known.tenant if known else "", seq=seq, what=ANCHORED_EVENT_GONE)

    def check_head(self, head: Head | None, key: str) -> Iterator[Problem]:
        last = self.last
        if head is None:
            if last:
                yield Problem(tenant=last.tenant, seq=last.seq, what="the sealed head is gone")
            return
        if not is_sealed(head, key):
            what = "the head's seal is wrong: it was written without the key, or the key is another one"
            yield Problem(tenant=head.tenant, seq=head.seq, what=what)
        last_seq, last_hash = (last.seq - self.shift, last.hash) if last else (0, GENESIS)
        if head.seq > last_seq:
            yield Problem(tenant=head.tenant, seq=last_seq + 1, what=_deleted(last_seq + 1, head.seq))
        elif last and head.seq < last_seq:
            yield _problem(last, f"inserted: the sealed head ends at {head.seq}")
        elif head.hash != last_hash and not self.last_was_named:
            what = "replaced: the sealed head names another event"
            yield Problem(tenant=head.tenant, seq=last_seq, what=what, event_id=last.id if last else "")


def _matches(event: ChainedEvent, seq: int) -> bool:
    return event_hash(event.prev_hash, replace(event, seq=seq)) == event.hash


def _problem(event: ChainedEvent, what: str) -> Problem:
    return Problem(tenant=event.tenant, seq=event.seq, event_id=event.id, what=what)


def _deleted(first: int, last: int) -> str:
    return "deleted" if first == last else f"deleted, with those up to {last}"
