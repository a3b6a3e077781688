#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
mkdir db && cd db
. "$HERE/../_alembic.sh"

models '    name = Column(String(20))'
revision 2b3c4d5e6f70 '"1a2b3c4d5e6f"' 'op.create_table("lamps", sa.Column("id", sa.Integer, primary_key=True))'
revision 3c4d5e6f7081 '"1a2b3c4d5e6f"' 'op.create_table("ropes", sa.Column("id", sa.Integer, primary_key=True))'
cd ..
commit "Merge branch 'ropes'"
