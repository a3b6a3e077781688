"""Past the audit triggers, in tests: to flush the database between them, and to tamper with a trail."""

from contextlib import contextmanager
from importlib import import_module

from django.db.backends.base.operations import BaseDatabaseOperations

_append_only = import_module("metabuilder.audit.migrations.0002_append_only")
_execute_sql_flush = BaseDatabaseOperations.execute_sql_flush


@contextmanager
def without_triggers(connection):
    """Drop the triggers of audit_events for the length of the block."""
    _run(connection, _append_only.drop_triggers)
    try:
        yield
    finally:
        _run(connection, _append_only.create_triggers)


def _run(connection, operation):
    # Not entered as a context: SQLite's refuses that inside a transaction, which is where tests are.
    operation(None, connection.SchemaEditorClass(connection, atomic=False))


def _flush(operations, sql_list):
    connection = operations.connection
    if "audit_events" not in connection.introspection.table_names():
        return _execute_sql_flush(operations, sql_list)
    with without_triggers(connection):
        return _execute_sql_flush(operations, sql_list)


def flush_past_triggers():
    """Let transactional tests empty audit_events when they end. For conftest.py; call it once."""
    BaseDatabaseOperations.execute_sql_flush = _flush
