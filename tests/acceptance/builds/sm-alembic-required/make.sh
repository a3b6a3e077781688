#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
. "$HERE/../_alembic.sh"

models '    name = Column(String(20))
    lamps = Column(Integer, nullable=False)'
commit "Add lamps"
