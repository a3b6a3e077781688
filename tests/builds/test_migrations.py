"""A database of the v2 system moves to v3 and back with every row kept."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

pytestmark = pytest.mark.django_db(transaction=True)
V2 = [("builds", "0001_v2_system")]
THEN = datetime(2025, 3, 9, 7, 30, tzinfo=UTC)
V2_TABLES = ("tenants", "memberships", "scaffold_plans", "build_runs", "build_steps")
V2_STATUSES = ("queued", "running", "succeeded", "failed", "cancelled")


def migrate(targets):
    executor = MigrationExecutor(connection)
    executor.migrate(targets)
    return executor.loader.project_state(targets).apps


def newest():
    return MigrationExecutor(connection).loader.graph.leaf_nodes()


@pytest.fixture
def v2_apps():
    """The database as the v2 system left it; afterwards it is as the other tests need it."""
    yield migrate(V2)
    migrate(newest())


def fill(apps):
    """Write what a v2 installation has: tenants, valid and unvalidated plans, runs in every status."""
    model = apps.get_model
    user = model("auth", "User").objects.create(username="v2-user", password="!")
    for slug in ("north", "south"):
        tenant = model("builds", "Tenant").objects.create(slug=slug, name=slug.title())
        model("builds", "Membership").objects.create(tenant=tenant, user=user, role="developer")
        bodies = [
            {"name": "api", "steps": [{"name": "test", "kind": "test", "run": "pytest -q"}]},
            {"title": "written by hand", "stages": ["compile", "ship"]},
        ]
        for number, body in enumerate(bodies):
            plan = model("builds", "ScaffoldPlan").objects.create(tenant=tenant, name=f"plan {number}", body=body)
            for status in V2_STATUSES:
                run = model("builds", "BuildRun").objects.create(
                    tenant=tenant,
                    plan=plan,
                    source="https://example.org/api.git",
                    ref="main",
                    base_commit=uuid.uuid4().hex,
                    status=status,
                    created_by=user,
                    started_at=None if status == "queued" else THEN,
                    finished_at=THEN if status in {"succeeded", "failed", "cancelled"} else None,
                )
                model("builds", "BuildStep").objects.create(
                    run=run, position=1, name="test", kind="test", command="pytest -q", last_exit_code=0
                )


def rows(columns=None):
    """Return every row of the v2 tables; of the named columns where a later schema has more."""
    found = {}
    with connection.cursor() as cursor:
        for table in V2_TABLES:
            names = columns[table] if columns else column_names(cursor, table)
            quoted = ", ".join(connection.ops.quote_name(name) for name in names)
            cursor.execute(f"SELECT {quoted} FROM {table} ORDER BY id")
            found[table] = cursor.fetchall()
    return found


def column_names(cursor, table):
    return sorted(column.name for column in connection.introspection.get_table_description(cursor, table))


def test_migrate__filled_v2_database__keeps_every_row_forward_and_back(v2_apps):
    fill(v2_apps)
    with connection.cursor() as cursor:
        columns = {table: column_names(cursor, table) for table in V2_TABLES}
    before = rows()
    assert len(before["build_runs"]) == 20

    v3 = migrate(newest())
    assert rows(columns) == before
    digests = set(v3.get_model("builds", "ScaffoldPlan").objects.values_list("digest", flat=True))
    assert len(digests) == 2  # equal plans of two tenants are equal; an unvalidated one has a digest too
    assert all(len(digest) == 64 for digest in digests)

    migrate(V2)
    assert rows() == before
    with connection.cursor() as cursor:
        assert {table: column_names(cursor, table) for table in V2_TABLES} == columns


def test_migrate__back_from_v3__gives_new_statuses_the_nearest_old_one(v2_apps):
    fill(v2_apps)
    runs = migrate(newest()).get_model("builds", "BuildRun").objects
    moved = dict(zip(("waiting_retry", "waiting_approval", "rolled_back"), runs.all()[:3], strict=True))
    for status, run in moved.items():
        runs.filter(pk=run.pk).update(status=status, fence=7)

    old = migrate(V2).get_model("builds", "BuildRun").objects
    statuses = {status: old.get(pk=run.pk).status for status, run in moved.items()}
    assert statuses == {"waiting_retry": "queued", "waiting_approval": "queued", "rolled_back": "failed"}
    assert set(old.values_list("status", flat=True)) <= set(V2_STATUSES)


def test_v2_schema__before_v3__has_no_v3_column_or_table(v2_apps):
    with connection.cursor() as cursor:
        run_columns = column_names(cursor, "build_runs")
        tables = set(connection.introspection.table_names(cursor))
    assert not {"fence", "lease_expires_at", "wake_at", "iteration", "outcome"} & set(run_columns)
    assert not {"step_executions", "auto_fix_runs", "retry_states", "plan_deltas"} & tables
