#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
put db/alembic.ini <<'P'
[alembic]
script_location = %(here)s/alembic
sqlalchemy.url = sqlite:///pier.db
P
put db/alembic/env.py <<'P'
from alembic import context
from sqlalchemy import create_engine

with create_engine(context.config.get_main_option("sqlalchemy.url")).begin() as connection:
    context.configure(connection=connection)
    context.run_migrations()
P
put db/alembic/script.py.mako <<'P'
"""${message}"""
from alembic import op
import sqlalchemy as sa

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    ${downgrades if downgrades else "pass"}
P
revision() { # revision ID DOWN STATEMENT
    put "db/alembic/versions/$1.py" <<P
from alembic import op
import sqlalchemy as sa

revision = "$1"
down_revision = $2
branch_labels = None
depends_on = None


def upgrade() -> None:
    $3


def downgrade() -> None:
    raise NotImplementedError
P
}
revision 1a2b3c4d5e6f None 'op.create_table("piers", sa.Column("id", sa.Integer, primary_key=True))'
revision 2b3c4d5e6f70 '"1a2b3c4d5e6f"' 'op.create_table("lamps", sa.Column("id", sa.Integer, primary_key=True))'
revision 3c4d5e6f7081 '"1a2b3c4d5e6f"' 'op.create_table("ropes", sa.Column("id", sa.Integer, primary_key=True))'
commit "Merge branch 'ropes'"
