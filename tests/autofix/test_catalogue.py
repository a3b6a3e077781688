"""The three tables that the v3 guide fixes, read back from the database's own catalogue."""

from __future__ import annotations

import json
import re

import pytest
from django.db import connection

from autofix.models import AutoFixRun, PlanDelta, RetryState

pytestmark = pytest.mark.django_db
REQUIRED, NULLABLE = False, True
NOW = "now"
# table -> column -> (type, may be null, database default)
GUIDE = {
    "auto_fix_runs": {
        "id": ("uuid", REQUIRED, None),
        "run_id": ("uuid", REQUIRED, None),
        "step_id": ("uuid", REQUIRED, None),
        "signal_type": ("varchar(50)", REQUIRED, None),
        "strategy": ("varchar(50)", NULLABLE, None),
        "outcome": ("varchar(50)", REQUIRED, None),
        "attempt": ("int", REQUIRED, 1),
        "backoff": ("float", NULLABLE, None),
        "created_at": ("timestamp", REQUIRED, NOW),
        "updated_at": ("timestamp", REQUIRED, NOW),
    },
    "retry_states": {
        "id": ("uuid", REQUIRED, None),
        "run_id": ("uuid", REQUIRED, None),
        "attempt_counter": ("int", REQUIRED, 0),
        "per_step_attempts": ("json", REQUIRED, {}),
        "total_attempts": ("int", REQUIRED, 0),
        "last_backoff_seconds": ("float", NULLABLE, None),
        "max_total_attempts": ("int", REQUIRED, 6),
        "max_per_step_attempts": ("int", REQUIRED, 3),
        "created_at": ("timestamp", REQUIRED, NOW),
        "updated_at": ("timestamp", REQUIRED, NOW),
    },
    "plan_deltas": {
        "id": ("uuid", REQUIRED, None),
        "original_plan_id": ("uuid", REQUIRED, None),
        "new_plan_id": ("uuid", REQUIRED, None),
        "run_id": ("uuid", REQUIRED, None),
        "delta_data": ("json", REQUIRED, None),
        "triggered_by": ("varchar(100)", REQUIRED, None),
        "created_at": ("timestamp", REQUIRED, NOW),
    },
}
FOREIGN_KEYS = {
    "auto_fix_runs": {"run_id": "build_runs", "step_id": "build_steps"},
    "retry_states": {"run_id": "build_runs"},
    "plan_deltas": {
        "original_plan_id": "scaffold_plans",
        "new_plan_id": "scaffold_plans",
        "run_id": "build_runs",
    },
}
# SQLite has no types for some of these; the names are what Django declares there.
TYPES = {
    "sqlite": {
        "char(32)": "uuid",
        "integer": "int",
        "real": "float",
        "text": "json",
        "datetime": "timestamp",
    },
    "postgresql": {
        "integer": "int",
        "double precision": "float",
        "jsonb": "json",
        "timestamp with time zone": "timestamp",
    },
}


def catalogue(table):
    """Return column -> (type, may be null, default as SQL text or None) as the database itself says."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute(f"PRAGMA table_info({table})")
            described = [(name, kind, not strict, default) for _, name, kind, strict, default, _ in cursor.fetchall()]
        else:
            cursor.execute(
                "SELECT column_name, CASE data_type WHEN 'character varying'"
                " THEN 'varchar(' || character_maximum_length || ')' ELSE data_type END,"
                " is_nullable = 'YES', column_default"
                " FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = %s",
                [table],
            )
            described = cursor.fetchall()
    names = TYPES[connection.vendor]
    return {
        name: (names.get(kind.lower(), kind.lower()), null, value_of(default))
        for name, kind, null, default in described
    }


def value_of(default):
    """Return what a default of the catalogue means: a number, a JSON value, NOW, or None for no default."""
    if default is None:
        return None
    text = re.sub(r"::[\w ]+", "", default).strip("()' ")
    if re.search(r"timestamp|strftime|now", default, re.IGNORECASE):
        return NOW
    return json.loads(text) if text else ""


def constraints(table):
    with connection.cursor() as cursor:
        return connection.introspection.get_constraints(cursor, table).values()


@pytest.mark.parametrize("table", GUIDE)
def test_catalogue__guide_table__has_the_guides_columns(table):
    found = catalogue(table)
    assert {name: found.get(name) for name in GUIDE[table]} == GUIDE[table]


@pytest.mark.parametrize("table", GUIDE)
def test_catalogue__extra_columns__need_no_value_from_a_writer_that_follows_the_guide(table):
    extras = {name: column for name, column in catalogue(table).items() if name not in GUIDE[table]}
    assert [name for name, (_, null, default) in extras.items() if not null and default is None] == []


@pytest.mark.parametrize("table", GUIDE)
def test_catalogue__guide_table__refers_to_the_right_tables(table):
    keys = {found["columns"][0]: found["foreign_key"][0] for found in constraints(table) if found["foreign_key"]}
    assert keys == FOREIGN_KEYS[table]


@pytest.mark.parametrize("table", GUIDE)
def test_catalogue__guide_table__has_id_as_primary_key(table):
    assert [found["columns"] for found in constraints(table) if found["primary_key"]] == [["id"]]


def test_catalogue__retry_states__has_one_row_per_run():
    unique = [found["columns"] for found in constraints("retry_states") if found["unique"]]
    assert ["run_id"] in unique


@pytest.mark.parametrize("table", ["auto_fix_runs", "plan_deltas"])
def test_catalogue__history_tables__allow_many_rows_per_run(table):
    unique = [found["columns"] for found in constraints(table) if found["unique"] and not found["primary_key"]]
    assert unique == []


def test_models__guide_tables__are_these():
    assert {model._meta.db_table for model in (AutoFixRun, RetryState, PlanDelta)} == set(GUIDE)
