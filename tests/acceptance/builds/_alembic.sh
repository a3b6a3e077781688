# Sourced by the cases with an Alembic schema on sqlite.
put alembic.ini <<'P'
[alembic]
script_location = schema
prepend_sys_path = .
sqlalchemy.url = sqlite:///pier.db
P
put schema/env.py <<'P'
from alembic import context
from sqlalchemy import create_engine

from pier.models import Base

with create_engine(context.config.get_main_option("sqlalchemy.url")).begin() as connection:
    context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True)
    context.run_migrations()
P
put schema/script.py.mako <<'P'
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
put pier/__init__.py </dev/null
revision() { # revision ID DOWN STATEMENT
    put "schema/versions/$1.py" <<P
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
models() { # models COLUMNS
    put pier/models.py <<P
from sqlalchemy import Column, Integer, String
from sqlalchemy.orm import declarative_base

Base = declarative_base()


class Pier(Base):
    __tablename__ = "piers"
    id = Column(Integer, primary_key=True)
$1
P
}
revision 1a2b3c4d5e6f None 'op.create_table("piers", sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.String(20)))'
