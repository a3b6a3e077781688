"""Names that Python no longer has: what is replaced, and what is left alone."""

import pytest

from autofix.fixers.codemods import RENAMES, RemovedNamesFixer, removed_names, rewrite
from tests.autofix.bench import heal, make_failure, make_plan, make_project, run_plan

REWRITES = [
    ("from collections import Mapping\n", "from collections.abc import Mapping\n"),
    (
        "from collections import OrderedDict, Mapping, Sequence as S  # keep\n",
        "from collections import OrderedDict  # keep\nfrom collections.abc import Mapping, Sequence as S\n",
    ),
    (
        "import collections\n\nx = collections.Mapping, collections.deque\n",
        "import collections\nimport collections.abc\n\nx = collections.abc.Mapping, collections.deque\n",
    ),
    ("import fractions\nprint(fractions.gcd(2, 4))\n", "import math\n\nprint(math.gcd(2, 4))\n"),
    ("import xml.etree.cElementTree as ET\n", "import xml.etree.ElementTree as ET\n"),
    ("from base64 import encodestring\n", "from base64 import encodebytes as encodestring\n"),
    (
        "import inspect\na, b, c, d = inspect.getargspec(f)\n",
        "import inspect\na, b, c, d = inspect.getfullargspec(f)[:4]\n",
    ),
    ("import inspect\nn = inspect.getargspec(f).args\n", "import inspect\nn = inspect.getfullargspec(f).args\n"),
]
KEPT = [
    "try:\n    from collections.abc import Mapping\nexcept ImportError:\n    from collections import Mapping\n",
    "from collections import *\n",
    "from .collections import Mapping\n",
    "class collections:\n    Mapping = 1\n\nx = collections.Mapping\n",
    "from collections import OrderedDict, namedtuple\n",
    "# from collections import Mapping\n",
]


@pytest.mark.parametrize(("source", "expected"), REWRITES)
def test_rewrite__removed_name__is_replaced(source, expected):
    assert rewrite(source, RENAMES).replace("\n\n", "\n") == expected.replace("\n\n", "\n")


@pytest.mark.parametrize("source", KEPT)
def test_rewrite__anything_else__is_left_alone(source):
    assert rewrite(source, RENAMES) == source


def test_rewrite__no_python__is_none():
    assert rewrite("def (:", RENAMES) is None


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ("ImportError: cannot import name 'Mapping' from 'collections' (/usr/lib/x.py)", {"collections.Mapping"}),
        ("AttributeError: module 'inspect' has no attribute 'getargspec'", {"inspect.getargspec"}),
        ("ModuleNotFoundError: No module named 'imp'", {"imp.reload"}),
        ("ImportError: cannot import name 'Mapping' from 'mylib'", set()),
    ],
)
def test_removed_names__log__names_what_is_gone(log, expected):
    assert removed_names(log) == expected


def test_fixer__package_with_two_files__changes_the_package_and_no_test(tmp_path):
    old = "from collections import Callable\n\nKIND = Callable\n"
    files = {
        "pack/__init__.py": "from pack.a import KIND\n",
        "pack/a.py": old,
        "pack/b.py": old,
        "tests/test_x.py": old,
    }
    bench = make_project(tmp_path / "p", files)
    plan = make_plan(test='python3 -c "import pack.b"')
    name, result = run_plan(bench, plan)
    failure = make_failure(bench, plan, name, result.output)
    fixer = RemovedNamesFixer()
    (candidate,) = fixer.candidates(failure)
    next(fixer.trials(candidate, failure, bench))
    assert bench.changed() == ["pack/a.py", "pack/b.py"]
    assert run_plan(bench, plan) is None


def test_fixer__second_name_gone_behind_the_first__is_replaced_as_well(tmp_path):
    source = "from fractions import gcd\nfrom collections import Iterable\n\nprint(gcd(4, 6), Iterable)\n"
    bench = make_project(tmp_path / "p", {"gears.py": source})
    plan = make_plan(test="python3 gears.py")
    name, result = run_plan(bench, plan)
    failure = make_failure(bench, plan, name, result.output)

    def classify(step, log):
        return make_failure(bench, plan, step, log).signal

    assert heal(RemovedNamesFixer(), failure, bench, classify).healed
    assert bench.changed() == ["gears.py"]
