import pytest

from approvals.presentation import MEANINGS, closing, diff_lines, exact, meaning, visible
from approvals.rules import GateStatus


def test_visible__characters_that_hide_or_move_text__are_written_out():
    assert visible("a\tb\nc\r\nd é 漢") == "a\tb\nc\nd é 漢"
    assert visible("\x1b[31m \x7f \x85 \u200b \u2028 \u202e \u2066 \ufeff") == (
        r"\x1b[31m \x7f \x85 \u200b \u2028 \u202e \u2066 \ufeff"
    )


@pytest.mark.parametrize("kind", sorted(MEANINGS))
def test_meaning__known_action__says_what_happens(kind):
    assert meaning({"type": kind})[0] == MEANINGS[kind]


def test_meaning__unknown_action__shows_it_whole():
    action = {"type": "novel", "target": "x"}
    assert "novel" in meaning(action)[0]
    assert '"target": "x"' in exact(action)


def test_meaning__plan_change__names_each_operation():
    delta = [
        {"op": "add", "path": "/steps/0", "value": {"name": "stubs"}},
        {"op": "replace", "path": "/steps/1/timeout", "value": 60},
        {"op": "remove", "path": "/steps/2"},
        {"op": "move", "from": "/a", "path": "/b"},
    ]
    assert meaning({"type": "apply_plan", "delta": delta})[1:] == [
        'Adds /steps/0: {"name": "stubs"}',
        "Changes /steps/1/timeout: 60",
        "Removes /steps/2",
        "Moves /b from /a",
    ]


def test_diff_lines__dashes_inside_a_hunk__are_removed_lines_not_headers():
    first = [
        "diff --git a/q.sql b/q.sql",
        "--- a/q.sql",
        "+++ b/q.sql",
        "@@ -1,2 +1 @@",
        "--- a comment",
        " x",
    ]
    patch = "\n".join([*first, "diff --git a/b b/b", "--- a/b"])
    assert [line.kind for line in diff_lines(patch)] == [
        "file", "file", "file", "hunk", "removed", "context", "file", "file",
    ]  # fmt: skip


def test_closing__every_status__has_words():
    assert all(closing(status) for status in GateStatus)
