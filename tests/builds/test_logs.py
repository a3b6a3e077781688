import os
from pathlib import Path

import pytest
from django.core.files.storage import FileSystemStorage, InMemoryStorage

from metabuilder.builds import logs
from metabuilder.builds.execution import Command, Keeper
from metabuilder.builds.logs import LogWriter, StoredLog, log_ref


@pytest.fixture(params=["files", "memory"])
def storage(request, tmp_path):
    return FileSystemStorage(tmp_path / "logs") if request.param == "files" else InMemoryStorage()


def parts_on_disk(tmp_path):
    return sorted(path.name for path in (tmp_path / "logs").rglob("*") if path.is_file())


def test_log_writer__short_log__is_one_object(storage):
    writer = LogWriter(storage, "run/step/1")
    writer.append(b"one\ntw")
    writer.append(b"o\n")
    writer.close()
    writer.close()

    assert b"".join(StoredLog(storage, "run/step/1").chunks()) == b"one\ntwo\n"
    assert (writer.size, writer.truncated) == (8, False)


def test_log_writer__while_it_grows__a_reader_sees_it(storage, monkeypatch):
    monkeypatch.setattr(logs, "FLUSH_SECONDS", 0)
    writer, reader = LogWriter(storage, "run/step/1"), StoredLog(storage, "run/step/1")
    assert reader.text() == ""
    for number in range(5):
        writer.append(b"line %d\n" % number)
        writer.flush_if_due()
        assert reader.text().endswith(f"line {number}\n")
        assert not reader.finished

    writer.append(b"the end")
    writer.close()

    assert reader.finished
    assert reader.text() == "".join(f"line {number}\n" for number in range(5)) + "the end"


def test_log_writer__flush__not_more_often_than_due(tmp_path):
    writer = LogWriter(FileSystemStorage(tmp_path / "logs"), "run/step/1")
    for _ in range(100):
        writer.append(b"line\n")
        writer.flush_if_due()

    assert parts_on_disk(tmp_path) == []


@pytest.mark.parametrize("size", [1, 7, 100, 1000, 5000])
def test_log_writer__over_the_cap__keeps_head_and_tail_and_says_what_is_missing(storage, size):
    data = b"".join(b"%06d\n" % number for number in range(3000))
    writer = LogWriter(storage, "run/step/1", max_bytes=1400)
    for at in range(0, len(data), size):
        writer.append(data[at : at + size])
    writer.close()

    stored = b"".join(StoredLog(storage, "run/step/1").chunks())
    assert stored == data[:700] + b"\n[... 19600 bytes left out ...]\n" + data[-700:]
    assert writer.truncated


def test_log_writer__over_the_cap_while_it_grows__disk_stays_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(logs, "FLUSH_SECONDS", 0)
    storage = FileSystemStorage(tmp_path / "logs")
    writer = LogWriter(storage, "run/step/1", max_bytes=10_000)
    for number in range(2000):
        writer.append(b"%099d\n" % number)
        writer.flush_if_due()
        if number % 500 == 499:
            stored = StoredLog(storage, "run/step/1").text()
            assert len(stored) <= 10_300
            assert stored.startswith("0" * 99 + "\n")
            assert stored.endswith(f"{number}\n")
            assert "bytes left out" in stored
    writer.close()

    assert parts_on_disk(tmp_path) == ["1.log"]
    assert not (tmp_path / "logs/run/step/1.parts").exists()


def test_log_writer__secret_across_chunks__never_reaches_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(logs, "FLUSH_SECONDS", 0)
    writer = LogWriter(FileSystemStorage(tmp_path / "logs"), "run/step/1", secrets=["s3cr3t-value"])
    seen = b""
    for byte in b"a s3cr3t-value b\nAPI_TOKEN=abcdef123456\nend":
        writer.append(bytes([byte]))
        writer.flush_if_due()
        seen += b"".join(path.read_bytes() for path in (tmp_path / "logs").rglob("*") if path.is_file())
    writer.close()

    assert b"s3cr3t" not in seen
    assert b"abcdef" not in seen
    stored = StoredLog(FileSystemStorage(tmp_path / "logs"), "run/step/1")
    assert stored.text() == "a [redacted] b\nAPI_TOKEN=[redacted]\nend"


def test_log_writer__name_taken__replaces_it(storage):
    for text in (b"first", b"second"):
        writer = LogWriter(storage, "run/step/1")
        writer.append(text)
        writer.close()

    assert StoredLog(storage, "run/step/1").text() == "second"


def test_stored_log__writer_crashed__what_was_flushed_is_readable(storage, monkeypatch):
    monkeypatch.setattr(logs, "FLUSH_SECONDS", 0)
    writer = LogWriter(storage, "run/step/1")
    writer.append(b"before the crash\n")
    writer.flush_if_due()

    assert StoredLog(storage, "run/step/1").text() == "before the crash\n"


def test_stored_log__text_and_tail__are_bounded_and_tolerate_any_bytes(storage):
    writer = LogWriter(storage, "run/step/1")
    writer.append(b"start\n" + b"x" * 600_000 + b"\xff end\n")
    writer.close()
    log = StoredLog(storage, "run/step/1")

    assert log.tail(6) == b"\xff end\n"
    assert log.text(6) == "\ufffd end\n"
    assert log.tail(0) == b""
    assert all(len(chunk) <= logs.READ_BYTES for chunk in log.chunks())


@pytest.mark.parametrize("ref", ["../etc/passwd", "/etc/passwd", "a//b", "a/../b", "", "a/b\n"])
def test_log_writer__reference_that_is_none__is_refused(ref, storage):
    with pytest.raises(ValueError, match="not a log reference"):
        LogWriter(storage, ref)


def test_open_log__settings__writes_to_the_storage_alias(settings, tmp_path):
    backend = "django.core.files.storage.FileSystemStorage"
    settings.STORAGES = {
        **settings.STORAGES,
        "logs": {"BACKEND": backend, "OPTIONS": {"location": str(tmp_path)}},
    }
    ref = log_ref("run", "step", 3)

    writer = logs.open_log(ref, max_bytes=100)
    writer.append(b"hello\n")
    writer.close()

    assert logs.stored_log(ref).text() == "hello\n"
    logs.delete_log(ref)
    assert not logs.stored_log(ref).finished


def test_execute__200_megabytes__stay_within_the_cap(tmp_path):
    storage = FileSystemStorage(tmp_path / "logs")
    writer = LogWriter(storage, "run/step/1", max_bytes=1 << 20)
    line = "INFO 0123456789abcdef tests/test_views.py::test_ok PASSED"
    script = f"yes '{line}' | head -c 200000000; echo; echo 'the last line'"
    command = Command(run=script, cwd=Path("/"), env={"PATH": os.environ["PATH"]}, timeout_seconds=60)

    with Keeper("logs") as keeper:
        result = keeper.execute(command, writer)
    writer.close()

    assert (result.exit_code, result.truncated) == (0, True)
    assert result.log_bytes == 200_000_015
    stored = StoredLog(storage, "run/step/1")
    assert stored.text().startswith(line)
    assert stored.tail(14) == b"the last line\n"
    assert sum(path.stat().st_size for path in (tmp_path / "logs").rglob("*.log")) < (1 << 20) + 100
