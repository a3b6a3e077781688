from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from metabuilder.audit.chain import (
    GENESIS,
    UNSEALED,
    ChainedEvent,
    Head,
    canonical,
    event_hash,
    seal,
    storable,
    verify,
)

KEY = "a key outside the database"


def chained(**changes):
    event = ChainedEvent(
        **{
            "id": "e",
            "tenant": "t",
            "seq": 1,
            "event_type": "run.created",
            "subject_type": "builds.buildrun",
            "subject_id": "s",
            "actor_id": "7",
            "actor_name": "ann",
            "payload": {"n": 1},
            "created_at": datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
            "prev_hash": GENESIS,
        }
        | changes
    )
    return rehashed(event)


def rehashed(event, prev_hash=None):
    event = replace(event, prev_hash=event.prev_hash if prev_hash is None else prev_hash)
    return replace(event, hash=event_hash(event.prev_hash, event))


def chain_of(count):
    events = []
    for seq in range(1, count + 1):
        events.append(chained(id=f"e{seq}", seq=seq, prev_hash=events[-1].hash if events else GENESIS))
    return events


def head_of(events, key=KEY):
    last = events[-1]
    return Head(tenant="t", seq=last.seq, hash=last.hash, seal=seal(key, "t", last.seq, last.hash))


def problems(events, head, **kwargs):
    return [
        (problem.seq, problem.event_id, problem.what.split(":")[0]) for problem in verify(events, head, KEY, **kwargs)
    ]


def test_verify__untouched_chain__finds_nothing():
    events = chain_of(5)
    assert problems(events, head_of(events), anchors={3: events[2].hash}) == []
    assert problems([], None) == []
    assert problems([], Head(tenant="t", seq=0, hash=GENESIS, seal=seal(KEY, "t", 0, GENESIS))) == []


@pytest.mark.parametrize(
    "change",
    [
        {"id": "other"},
        {"tenant": "other"},
        {"event_type": "run.retried"},
        {"subject_type": "x"},
        {"subject_id": "x"},
        {"actor_id": "8"},
        {"actor_name": "bob"},
        {"payload": {"n": 2}},
        {"created_at": datetime(2026, 1, 2, 3, 4, 5, 7, tzinfo=UTC)},
    ],
)
def test_verify__any_column_altered__names_that_row_alone(change):
    events = chain_of(4)
    head = head_of(events)
    events[1] = replace(events[1], **change)
    assert problems(events, head) == [(2, events[1].id, "altered")]


@pytest.mark.parametrize("seq", [1, 2, 3, 4])
def test_verify__row_altered_and_hashed_anew__names_that_row_alone(seq):
    events = chain_of(4)
    head = head_of(events)
    events[seq - 1] = rehashed(replace(events[seq - 1], payload={"n": 2}))
    assert problems(events, head) == [(seq, f"e{seq}", "replaced")]


def test_verify__rows_deleted__names_the_gap():
    events = chain_of(6)
    assert problems(events[:1] + events[2:], head_of(events)) == [(2, "", "deleted")]
    found = list(verify(events[:1] + events[4:], head_of(events), KEY))
    assert [(problem.seq, problem.what) for problem in found] == [(2, "deleted, with those up to 4")]
    assert problems(events[1:], head_of(events)) == [(1, "", "deleted")]
    assert problems([], head_of(events)) == [(1, "", "deleted, with those up to 6")]


def test_verify__tail_deleted__is_found_by_the_head():
    events = chain_of(6)
    assert problems(events[:4], head_of(events)) == [(5, "", "deleted, with those up to 6")]


def test_verify__tail_deleted_with_an_older_sealed_head_put_back__is_found_by_an_anchor_only():
    events = chain_of(6)
    older = head_of(events[:4])
    assert problems(events[:4], older) == []
    assert problems(events[:4], older, anchors={6: events[5].hash}) == [(6, "", "deleted")]


def test_verify__head_rewritten_without_the_key__has_a_wrong_seal():
    events = chain_of(3)
    assert problems(events, head_of(events, key="guess")) == [(3, "", "the head's seal is wrong")]
    assert [what for _, _, what in problems(events, None)] == ["the sealed head is gone"]


def test_verify__whole_chain_rewritten__is_found_by_the_seal_and_by_an_anchor():
    events = chain_of(3)
    forged = [chained(id="e1", payload={"n": 9})]
    forged.append(chained(id="e2", seq=2, prev_hash=forged[0].hash))
    forged.append(chained(id="e3", seq=3, prev_hash=forged[1].hash))
    assert [what for _, _, what in problems(forged, head_of(events))] == ["replaced"]
    found = problems(forged, head_of(forged, key="guess"), anchors={2: events[1].hash})
    assert found == [(2, "e2", "replaced"), (3, "", "the head's seal is wrong")]


def test_verify__row_inserted_past_the_head__is_named():
    events = chain_of(3)
    extra = chained(id="new", seq=4, prev_hash=events[-1].hash)
    assert problems([*events, extra], head_of(events)) == [(4, "new", "inserted")]


def test_verify__well_formed_row_inserted_in_the_middle__is_named():
    events = chain_of(4)
    extra = chained(id="new", seq=3, prev_hash=events[1].hash)
    shifted = [replace(event, seq=event.seq + 1) for event in events[2:]]
    found = problems([*events[:2], extra, *shifted], head_of(events))
    assert found == [(3, "new", "inserted")]


def test_verify__two_rows_swapped__both_are_named():
    events = chain_of(4)
    swapped = [events[0], replace(events[2], seq=2), replace(events[1], seq=3), events[3]]
    found = problems(swapped, head_of(events))
    assert [row for _, row, _ in found] == ["e3", "e2"]


def test_verify__event_that_continued_a_forged_head__stays_named():
    events = chain_of(2)
    events.append(chained(id="e3", seq=3, prev_hash=events[-1].hash, payload={UNSEALED: True}))
    assert [row for _, row, _ in problems(events, head_of(events))] == ["e3"]


def test_verify__long_chain__holds_a_few_rows_only():
    alive = 0
    peak = 0

    class Row(ChainedEvent):
        __slots__ = ()

        def __del__(self):
            nonlocal alive
            alive -= 1

    def rows():
        nonlocal alive, peak
        prev_hash = GENESIS
        for seq in range(1, 2001):
            event = chained(id=f"e{seq}", seq=seq, prev_hash=prev_hash)
            prev_hash = event.hash
            alive += 1
            peak = max(peak, alive)
            yield Row(**{name: getattr(event, name) for name in ChainedEvent.__slots__})

    assert [problem.what for problem in verify(rows(), None, KEY)] == ["the sealed head is gone"]
    assert peak <= 4


def test_event_hash__same_instant_in_another_zone__is_equal():
    event = chained()
    elsewhere = replace(event, created_at=event.created_at.astimezone(timezone(timedelta(hours=5))))
    assert event_hash(GENESIS, elsewhere) == event.hash


def test_canonical__equal_values_written_differently__are_equal():
    assert (
        canonical({"b": 1.0, "a": [True, None, "é"]})
        == canonical({"a": [True, None, "é"], "b": 1})
        == ('{"a":[true,null,"é"],"b":1}')
    )


def test_storable__what_json_or_a_database_would_change__becomes_text():
    value = {
        1: float("nan"),
        "big": 10**20,
        "when": datetime(2026, 1, 2, tzinfo=UTC),
        "nul": "a\0b",
        "set": {"b", "a"},
    }
    assert storable(value) == {
        "1": "nan",
        "big": "100000000000000000000",
        "when": "2026-01-02 00:00:00+00:00",
        "nul": "a\ufffdb",
        "set": ["a", "b"],
    }
    assert storable({"half": "\ud800", "true": True, "float": 0.5}) == {
        "half": "?",
        "true": True,
        "float": 0.5,
    }
