#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
put requirements/base.txt <<'P'
# what the program needs
packaging==24.2
P
put requirements/dev.txt <<'P'
-r base.txt
python-dateutil==2.9.0.post0
pytest==8.3.4
P
put almanac/__init__.py </dev/null
put almanac/__main__.py <<'P'
import sys

from dateutil.relativedelta import relativedelta
from dateutil.parser import isoparse
from packaging.version import Version

assert Version("1.0") < Version("2.0")
print(isoparse(sys.argv[1]) + relativedelta(months=1))
P
commit "Add almanac" 2024-12-20T10:00:00+0000
