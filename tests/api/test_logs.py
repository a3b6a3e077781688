"""Reading and following an execution's log."""

import pytest

from metabuilder.builds import logs
from metabuilder.builds.logs import LogWriter, gap_line, open_log
from metabuilder.builds.states import ExecutionEnd
from tests.api.conftest import assert_problem
from tests.factories import BuildStepFactory, StepExecutionFactory

pytestmark = pytest.mark.django_db
REF = "run/step/00001"


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(logs, "FLUSH_SECONDS", 0)


@pytest.fixture
def execution(tenant):
    return StepExecutionFactory(step__run__tenant=tenant, end="", exit_code=None, log_ref=REF)


def address(execution):
    return f"/api/meta/v2/runs/{execution.step.run_id}/steps/{execution.step_id}/logs"


def write(log, text):
    log.append(text.encode() if isinstance(text, str) else text)
    log.flush_if_due()


def test_logs__growing_log__is_followed_to_its_end_without_loss_or_repetition(viewer, execution):
    log, seen, offset = open_log(REF), "", 0
    pieces = [f"line {number} – ünïcode\n" * 50 for number in range(6)]
    for piece in pieces:
        write(log, piece)
        for _ in range(3):
            body = viewer.get(f"{address(execution)}?offset={offset}&limit=1024").json()
            assert body["offset"] == offset
            assert body["finished"] is False
            seen, offset = seen + body["text"], body["next_offset"]
    log.close()
    execution.end = ExecutionEnd.EXITED
    execution.save()
    while True:
        body = viewer.get(f"{address(execution)}?offset={offset}&limit=1024").json()
        seen, offset = seen + body["text"], body["next_offset"]
        if body["finished"]:
            break

    assert seen == "".join(pieces)
    assert offset == len(seen.encode())


def test_logs__negative_offset__is_the_tail(viewer, execution):
    log = open_log(REF)
    write(log, "start\n" * 500 + "the end\n")
    for finish in (lambda: None, log.close):
        finish()
        body = viewer.get(f"{address(execution)}?offset=-8").json()
        assert (body["text"], body["offset"], body["next_offset"]) == ("the end\n", 3000, 3008)


def test_logs__middle_dropped__offsets_stay_true_while_growing_and_after(viewer, execution, monkeypatch):
    monkeypatch.setattr("metabuilder.builds.api.log_windows.MAX_LOG_BYTES", 4096)
    monkeypatch.setattr("metabuilder.builds.api.log_windows.GAP_AT", 2048)
    log = open_log(REF, max_bytes=4096)
    lines = [f"{number:06d}-{'x' * 56}\n" for number in range(400)]  # 64 bytes each
    for line in lines:
        write(log, line)
    output = "".join(lines)
    for finish in (lambda: None, log.close):
        finish()
        head = viewer.get(f"{address(execution)}?offset=0&limit=8192").json()
        assert head["text"] == output[:2048]
        rest = viewer.get(f"{address(execution)}?offset={head['next_offset']}&limit=8192").json()
        gap = gap_line(rest["offset"] - 2048).decode()
        assert rest["text"] == gap + output[rest["offset"] :]
        assert rest["offset"] >= len(output) - 2048 - 64
        assert rest["next_offset"] == len(output)
    assert rest["finished"] is True


def test_logs__character_cut_by_the_limit__comes_whole_with_the_next_window(viewer, execution):
    log = open_log(REF)
    write(log, "a" * 1023 + "é" + "b\n")
    first = viewer.get(f"{address(execution)}?limit=1024").json()
    second = viewer.get(f"{address(execution)}?offset={first['next_offset']}").json()
    assert (first["text"], second["text"]) == ("a" * 1023, "éb\n")


def test_logs__bytes_that_are_no_text__are_replaced(viewer, execution):
    log = open_log(REF)
    log.append(b"\xff\xfe binary\n")
    log.close()
    body = viewer.get(address(execution)).json()
    assert body["text"] == "\ufffd\ufffd binary\n"
    assert body["finished"] is True


def test_logs__writer_died__is_finished_where_it_stopped(viewer, execution):
    write(open_log(REF), "half a l\n")
    execution.end = ExecutionEnd.LOST
    execution.save()
    body = viewer.get(address(execution)).json()
    assert (body["text"], body["finished"]) == ("half a l\n", True)


def test_logs__several_executions__newest_unless_one_is_named(viewer, execution):
    second = StepExecutionFactory(step=execution.step, number=2, log_ref="run/step/00002")
    for ref, text in ((REF, b"first\n"), (second.log_ref, b"second\n")):
        log = open_log(ref)
        log.append(text)
        log.close()
    assert viewer.get(address(execution)).json()["text"] == "second\n"
    named = viewer.get(f"{address(execution)}?execution=1").json()
    assert (named["execution"], named["text"]) == (1, "first\n")
    assert_problem(viewer.get(f"{address(execution)}?execution=3"), 404)


def test_logs__step_not_run_yet__is_empty_and_not_finished(viewer, tenant):
    step = BuildStepFactory(run__tenant=tenant)
    body = viewer.get(f"/api/meta/v2/runs/{step.run_id}/steps/{step.pk}/logs").json()
    assert body == {"execution": None, "offset": 0, "next_offset": 0, "finished": False, "text": ""}


def test_logs__beyond_the_end__is_empty(viewer, execution):
    write(open_log(REF), "short\n")
    body = viewer.get(f"{address(execution)}?offset=1000").json()
    assert (body["text"], body["next_offset"]) == ("", 6)


@pytest.mark.parametrize("query", ["offset=x", "limit=0", "limit=99999999", "execution=0", f"offset={10**30}"])
def test_logs__bad_query__is_refused(viewer, execution, query):
    assert_problem(viewer.get(f"{address(execution)}?{query}"), 400)


def test_log_writer__finished_log__has_its_gap_where_the_reader_looks(settings):
    """Holds the reader against the writer at the size that is really used."""
    from metabuilder.builds.api.log_windows import read_window

    log = LogWriter(logs.storages["logs"], REF)
    line = b"y" * 1023 + b"\n"
    for _ in range(9 << 10):
        log.append(line)
    log.close()
    head = read_window(REF, offset=(4 << 20) - 10, limit=1024)
    assert (head.next_offset, len(head.text)) == (4 << 20, 10)
    tail = read_window(REF, offset=4 << 20, limit=1024)
    assert tail.offset == 5 << 20
    assert tail.text.startswith(gap_line(1 << 20).decode())
