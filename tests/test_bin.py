"""The scripts a newcomer starts with."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest

BIN = Path(__file__).resolve().parents[1] / "bin"


def environment(data_dir):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("METABUILDER_", "DJANGO_"))}
    kept.pop("DATABASE_URL", None)
    return kept | {"METABUILDER_DATA_DIR": str(data_dir)}


def run(script, *arguments, data_dir):
    command = [str(BIN / script), *arguments]
    return subprocess.run(
        command, cwd="/", env=environment(data_dir), capture_output=True, text=True, stdin=subprocess.DEVNULL
    )


@pytest.mark.parametrize("script", ["demo", "serve", "test"])
def test_script__help__teaches_and_changes_nothing(script, tmp_path):
    done = run(script, "--help", data_dir=tmp_path / "data")
    assert done.returncode == 0
    assert done.stdout.startswith(f"Usage: bin/{script}")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("arguments", [["--prot", "80"], ["--port"], ["--port", "http"]])
def test_serve__bad_argument__is_a_usage_error_that_names_it(arguments, tmp_path):
    done = run("serve", *arguments, data_dir=tmp_path / "data")
    assert done.returncode == 2
    assert arguments[0] in done.stderr


@pytest.fixture
def port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_serve__port_in_use__says_so_before_anything_is_made(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = run("serve", "--port", str(taken.getsockname()[1]), data_dir=tmp_path / "data")
    assert done.returncode == 2
    assert "cannot listen on 127.0.0.1" in done.stderr
    assert "--port" in done.stderr
    assert not (tmp_path / "data").exists()


@pytest.fixture
def service(tmp_path, port):
    """A started bin/serve, answering; what is left of it is ended."""
    command = [str(BIN / "serve"), "--port", str(port)]
    with (tmp_path / "out").open("w") as out:
        process = subprocess.Popen(
            command,
            cwd="/",
            env=environment(tmp_path / "data"),
            stdout=out,
            stderr=out,
            stdin=subprocess.DEVNULL,
        )
    started = psutil.Process(process.pid)
    wait_for(lambda: answers(port) and worker_of(started), process, tmp_path / "out")
    family = started.children(recursive=True)
    yield process, started, tmp_path / "out"
    for each in [*family, started]:
        if each.is_running():
            each.kill()
    process.wait()


def wait_for(condition, process, out):
    limit = time.monotonic() + 90
    while not condition():
        assert process.poll() is None, out.read_text()
        assert time.monotonic() < limit, out.read_text()
        time.sleep(0.2)


def answers(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/admin/login/", timeout=5) as page:
            return page.status == 200
    except (urllib.error.URLError, OSError):
        return False


def worker_of(started):
    return next((child for child in started.children() if "worker" in child.cmdline()), None)


@pytest.mark.crash
def test_serve__terminated__ends_web_and_worker_and_exits_0(service):
    process, started, out = service
    family = started.children(recursive=True)
    assert "Password: " in out.read_text()

    process.send_signal(signal.SIGTERM)

    assert process.wait(timeout=60) == 0
    _, alive = psutil.wait_procs(family, timeout=10)
    assert alive == []


@pytest.mark.crash
def test_serve__worker_killed__ends_web_too_and_exits_1(service):
    process, started, out = service

    worker_of(started).kill()

    assert process.wait(timeout=60) == 1
    assert "the worker process ended" in out.read_text()
