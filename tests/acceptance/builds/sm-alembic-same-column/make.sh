#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
. "$HERE/../_alembic.sh"

models '    name = Column(String(40))'
revision 2a2b3c4d5e6f '"1a2b3c4d5e6f"' 'op.execute("UPDATE piers SET name = upper(name)")'
revision 3a2b3c4d5e6f '"1a2b3c4d5e6f"' 'op.drop_column("piers", "name")'
commit "Merge branch 'names'"
