"""Migrations: which branches may be merged, which generated ones need a person, and both for real."""

import textwrap

import pytest

from autofix.failures import FailureSignal, FailureType
from autofix.fixers.alembic import read_revision
from autofix.fixers.alembic import why_not_merge as why_not_merge_revisions
from autofix.fixers.django import MakeMigrations, MergeMigrations, conflicts, pending_apps
from autofix.fixers.migration_text import read_migration, why_not_automatic, why_not_merge
from tests.autofix.bench import heal, make_failure, make_plan, make_project, run_plan


def migration(name, operations, after=(("shop", "0001"),)):
    text = (
        f"class Migration(migrations.Migration):\n    dependencies = {list(after)!r}\n    operations = [{operations}]\n"
    )
    return read_migration(name, text)


def add(model, field, definition="models.CharField(max_length=9, null=True)"):
    return f"migrations.AddField(model_name={model!r}, name={field!r}, field={definition})"


FIRST = migration(
    "0001", "migrations.CreateModel(name='Book', fields=[('title', models.CharField(max_length=50))])", ()
)
BRANCHES = [
    (add("book", "isbn"), add("book", "pages"), None),
    (add("book", "isbn"), add("Author", "isbn"), None),
    (add("book", "isbn"), add("book", "isbn"), "both touch book"),
    (add("book", "isbn"), "migrations.DeleteModel(name='Book')", "both touch book"),
    (add("book", "isbn"), "migrations.RenameField('book', 'title', 'name')", "both touch book"),
    ("migrations.AlterModelOptions(name='book', options={})", "migrations.AlterModelOptions('book', {})", "both touch"),
    (add("book", "isbn"), "migrations.RunPython(fill)", "order"),
    (add("book", "isbn"), "migrations.RunSQL('drop table x')", "order"),
    ("migrations.AddIndex(model_name='book', index=models.Index(fields=['a'], name='i'))", add("author", "x"), None),
]


@pytest.mark.parametrize(("left", "right", "reason"), BRANCHES)
def test_why_not_merge__two_branches__independent_or_named(left, right, reason):
    graph = {m.name: m for m in (FIRST, migration("0002_a", left), migration("0002_b", right))}
    found = why_not_merge(graph, "shop", ["0002_a", "0002_b"])
    assert (found is None) if reason is None else (reason in found)


def test_why_not_merge__longer_branch__is_looked_at_whole():
    deep = migration("0003_b", add("book", "isbn"), [("shop", "0002_b")])
    graph = {m.name: m for m in (FIRST, migration("0002_a", add("book", "isbn")), migration("0002_b", ""), deep)}
    assert "both touch book" in why_not_merge(graph, "shop", ["0002_a", "0003_b"])


def alter(definition):
    return f"migrations.AlterField(model_name='book', name='title', field={definition})"


@pytest.mark.parametrize(
    ("operations", "reason"),
    [
        (add("book", "x"), None),
        ("migrations.CreateModel(name='A', fields=[])", None),
        (alter("models.CharField(max_length=80)"), None),
        (alter("models.CharField(max_length=50, help_text='x')"), None),
        (alter("models.CharField(max_length=50, null=True)"), None),
        (alter("models.CharField(max_length=20)"), "changes max_length"),
        (alter("models.CharField(max_length=50, unique=True)"), "changes unique"),
        (alter("models.IntegerField()"), "changes a field's type"),
        ("migrations.RemoveField(model_name='book', name='title')", "can lose or reject data"),
        ("migrations.DeleteModel(name='Book')", "can lose or reject data"),
        ("migrations.RunPython(f)", "can lose or reject data"),
    ],
)
def test_why_not_automatic__generated_migration__safe_or_named(operations, reason):
    found = why_not_automatic([migration("0002_auto", operations)], [FIRST])
    assert (found is None) if reason is None else (reason in found)


def test_conflicts__django_message__names_apps_and_leaves():
    log = "in the migration graph: (0002_a, 0002_b in books; 0005_x, 0005_y, 0005_z in shop).\nTo fix them"
    log = f"CommandError: Conflicting migrations detected; multiple leaf nodes {log}"
    assert conflicts(log) == {"books": ["0002_a", "0002_b"], "shop": ["0005_x", "0005_y", "0005_z"]}


def test_pending_apps__both_messages__are_read():
    log = "Migrations for 'books':\n  x\nYour models in app(s): 'shop', 'users' have changes that are not yet reflected"
    assert pending_apps(log) == ["books", "shop", "users"]


@pytest.mark.parametrize(
    ("left", "right", "refused"),
    [
        ("op.add_column('b', sa.Column('x', sa.Integer))", "op.add_column('b', sa.Column('y', sa.Integer))", False),
        ("op.add_column('b', sa.Column('x', sa.Integer))", "op.add_column('b', sa.Column('x', sa.Integer))", True),
        ("op.add_column('b', sa.Column('x', sa.Integer))", "op.drop_table('b')", True),
        ("op.create_table('c')", "op.execute('update b set x = 1')", True),
        ("op.create_index(op.f('i'), 'b', ['x'])", "op.create_index('j', 'b', ['y'])", False),
    ],
)
def test_why_not_merge_revisions__two_heads__independent_or_refused(left, right, refused):
    texts = {"a1": (None, "pass"), "b1": ("a1", left), "b2": ("a1", right)}
    revisions = {
        name: read_revision(name, f"revision = {name!r}\ndown_revision = {down!r}\ndef upgrade():\n    {body}\n")
        for name, (down, body) in texts.items()
    }
    assert bool(why_not_merge_revisions(revisions)) is refused


SETTINGS = """
SECRET_KEY = "x"
INSTALLED_APPS = ["django.contrib.contenttypes", "library"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
"""
MANAGE = """
import os, sys
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "conf")
from django.core.management import execute_from_command_line
execute_from_command_line(sys.argv)
"""
INITIAL = """
from django.db import migrations, models
class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [migrations.CreateModel(name="Shelf", fields=[
        ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
        ("label", models.CharField(max_length=30)),
    ])]
"""
BRANCH = """
from django.db import migrations, models
class Migration(migrations.Migration):
    dependencies = [("library", "0001_initial")]
    operations = [migrations.AddField(model_name="shelf", name="{}", field=models.IntegerField(null=True))]
"""


def django_project(path, fields, **more):
    model = textwrap.indent("\n".join(["label = models.CharField(max_length=30)", *fields]), "    ")
    files = {
        "site/manage.py": MANAGE,
        "site/conf.py": SETTINGS,
        "site/library/__init__.py": "",
        "site/library/models.py": f"from django.db import models\nclass Shelf(models.Model):\n{model}\n",
        "site/library/migrations/__init__.py": "",
        "site/library/migrations/0001_initial.py": INITIAL,
    }
    return make_project(path, {**files, **{f"site/library/migrations/{k}.py": v for k, v in more.items()}})


def healed(bench, plan, fixer):
    name, result = run_plan(bench, plan)
    failure = make_failure(bench, plan, name, result.output, type=FailureType.SCHEMA_MIGRATION)
    classify = lambda step, log: FailureSignal(type=FailureType.UNKNOWN, confidence=0, message="")  # noqa: E731
    return heal(fixer, failure, bench, classify)


CHECK = {"run": "../.venv/bin/python manage.py makemigrations --check --dry-run", "cwd": "site"}
VENV = "uv venv -q .venv"
INSTALL = "uv pip install -q django==5.2.19"


def test_make_migrations__new_nullable_field__is_generated_and_proven(tmp_path):
    bench = django_project(tmp_path / "p", ["room = models.IntegerField(null=True)"])
    outcome = healed(bench, make_plan(venv=VENV, install=INSTALL, check=CHECK), MakeMigrations())
    assert outcome.healed
    assert bench.changed() == ["site/library/migrations/0002_shelf_room.py"]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [(["room = models.IntegerField()"], "needs a person"), (["label = None"], "can lose or reject data")],
)
def test_make_migrations__question_or_loss__is_left_to_a_person(tmp_path, fields, reason):
    bench = django_project(tmp_path / "p", fields)
    outcome = healed(bench, make_plan(venv=VENV, install=INSTALL, check=CHECK), MakeMigrations())
    assert not outcome.healed
    assert reason in outcome.reason


def test_merge_migrations__command_behind_cd__merges_independent_branches(tmp_path):
    fields = ["room = models.IntegerField(null=True)", "floor = models.IntegerField(null=True)"]
    branches = {"0002_room": BRANCH.format("room"), "0002_floor": BRANCH.format("floor")}
    bench = django_project(tmp_path / "p", fields, **branches)
    plan = make_plan(venv=VENV, install=INSTALL, migrate="cd site && ../.venv/bin/python manage.py migrate")
    outcome = healed(bench, plan, MergeMigrations())
    assert outcome.healed
    assert [path.rsplit("/", 1)[-1][:11] for path in bench.changed()] == ["0003_merge_"]


def test_merge_migrations__same_field_on_both__is_refused(tmp_path):
    branches = {"0002_room": BRANCH.format("room"), "0002_also_room": BRANCH.format("room")}
    bench = django_project(tmp_path / "p", ["room = models.IntegerField(null=True)"], **branches)
    plan = make_plan(venv=VENV, install=INSTALL, migrate="cd site && ../.venv/bin/python manage.py migrate")
    outcome = healed(bench, plan, MergeMigrations())
    assert not outcome.healed
    assert "both touch shelf" in outcome.reason
    assert bench.changed() == []
