"""Fixtures of the whole suite. Works with xdist and on both databases (DATABASE_URL chooses)."""

from __future__ import annotations

import pytest
from django.db import connections

from tests.audit.triggers import flush_past_triggers

flush_past_triggers()


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix, tmp_path_factory):
    """Give every test process an SQLite file of its own, so that suites may run side by side."""
    database = connections["default"].settings_dict
    if database["ENGINE"].endswith("sqlite3"):
        database["TEST"]["NAME"] = str(tmp_path_factory.mktemp("database") / "test.sqlite3")


@pytest.fixture(autouse=True)
def data_dir(tmp_path_factory, settings):
    """Workspaces, checkpoints and logs of one test; no test sees another's or the user's."""
    path = tmp_path_factory.mktemp("data", numbered=True)
    settings.METABUILDER_DATA_DIR = path
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # the real one takes 0.3 s a user
    logs = {**settings.STORAGES["logs"], "OPTIONS": {"location": str(path / "logs")}}
    settings.STORAGES = {**settings.STORAGES, "logs": logs}
    return path
