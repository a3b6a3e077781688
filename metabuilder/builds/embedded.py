"""The embedded database: a SQLite file that every command creates and migrates by itself."""

from __future__ import annotations

import fcntl
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

MIGRATION_FILE = re.compile(r"\d{4}_\w+")


def ensure_database() -> bool:
    """Migrate the database where it is the embedded one and behind. Returns whether anything was done.

    Cheap when there is nothing to do: one query and a directory listing per app, no migration is imported. A
    database server is never migrated in passing; that is `manage.py migrate`.
    """
    if connection.vendor != "sqlite":
        return False
    settings.METABUILDER_DATA_DIR.mkdir(parents=True, exist_ok=True)
    if _in_wal_mode() and not _unapplied():
        return False
    with _one_at_a_time(settings.METABUILDER_DATA_DIR / "migrate.lock"):
        if not _unapplied():  # the process that we waited for has done it
            return False
        call_command("migrate", verbosity=0, interactive=False)
    return True


def _in_wal_mode() -> bool:
    """Whether a connection can be opened beside others: the first one switches a new file to WAL, which may not.

    SQLite answers "database is locked" to a second switch at the same time, whatever the timeout. Bytes 18 and 19 of
    the file are its write and read versions; 2 is WAL.
    """
    try:
        with Path(connection.settings_dict["NAME"]).open("rb") as file:
            return file.read(20)[18:] == b"\x02\x02"
    except FileNotFoundError:
        return False


def _unapplied() -> set[tuple[str, str]]:
    applied = set(MigrationRecorder(connection).applied_migrations())
    return _shipped() - applied


def _shipped() -> set[tuple[str, str]]:
    return {
        (config.label, path.stem)
        for config in apps.get_app_configs()
        for path in Path(config.path, "migrations").glob("*.py")
        if MIGRATION_FILE.fullmatch(path.stem)
    }


@contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # released with the file, also when the process is killed
        yield
