"""Edits of dependency declarations: in the file's own style, and nothing else."""

import json

import pytest

from autofix.fixers import declarations, names
from autofix.fixers.declarations import Manifest
from autofix.fixers.package_json import with_dev_dependency
from autofix.fixers.releases import below, just_above
from autofix.fixers.requirement import choose_manifest
from autofix.fixers.requirement_text import bounded, name_of

REQUIREMENTS = Manifest("requirements", "r.txt")
PEP621 = Manifest("toml", "pyproject.toml", ("project", "dependencies"))
GROUP = Manifest("toml", "pyproject.toml", ("dependency-groups", "dev"), development=True)
POETRY = Manifest("poetry", "pyproject.toml", ("tool", "poetry", "dependencies"))
SETUP_CFG = Manifest("setup.cfg", "setup.cfg", ("options", "install_requires"))
SETUP_PY = Manifest("setup.py", "setup.py")

ADDITIONS = [
    (REQUIREMENTS, "six\n", "six\nnew\n"),
    (REQUIREMENTS, "alpha\nzeta>=1\n", "alpha\nnew\nzeta>=1\n"),
    (REQUIREMENTS, "zeta\nalpha\n\n\n", "zeta\nalpha\nnew\n\n\n"),
    (REQUIREMENTS, "# run time\r\nsix\r\n", "# run time\r\nsix\r\nnew\r\n"),
    (REQUIREMENTS, "six", "six\nnew\n"),
    (REQUIREMENTS, "", "new\n"),
    (REQUIREMENTS, "-r base.txt\n--no-binary x\n", "-r base.txt\n--no-binary x\nnew\n"),
    (PEP621, '[project]\ndependencies = ["six"]\n', '[project]\ndependencies = ["six", "new"]\n'),
    (
        PEP621,
        '[project]\nname = "x"  # note\ndependencies = [\n    "attrs>=20",\n    "zope",\n]\n',
        '[project]\nname = "x"  # note\ndependencies = [\n    "attrs>=20",\n    "new",\n    "zope",\n]\n',
    ),
    (PEP621, "[project]\ndependencies = []\n", '[project]\ndependencies = ["new"]\n'),
    (
        GROUP,
        '[dependency-groups]\ndev = [\n  "pytest",\n]\n',
        '[dependency-groups]\ndev = [\n  "pytest",\n  "new",\n]\n',
    ),
    (
        POETRY,
        '[tool.poetry.dependencies]\npython = "^3.11"\nsix = "*"\n',
        '[tool.poetry.dependencies]\npython = "^3.11"\nsix = "*"\nnew = "*"\n',
    ),
    (
        SETUP_CFG,
        "[options]\ninstall_requires =\n    six\n\n[x]\ny = 1\n",
        "[options]\ninstall_requires =\n    six\n    new\n\n[x]\ny = 1\n",
    ),
    (
        SETUP_PY,
        "setup(\n    install_requires=[\n        'six',\n    ],\n)\n",
        "setup(\n    install_requires=[\n        'six',\n        'new',\n    ],\n)\n",
    ),
    (SETUP_PY, 'setup(install_requires=["six"])\n', 'setup(install_requires=["six", "new"])\n'),
    (SETUP_PY, 'REQ = ["six"]\nsetup(install_requires=REQ)\n', 'REQ = ["six", "new"]\nsetup(install_requires=REQ)\n'),
]


@pytest.mark.parametrize(("manifest", "before", "after"), ADDITIONS)
def test_add__manifest__gains_one_requirement_in_its_own_style(tmp_path, manifest, before, after):
    (tmp_path / manifest.path).write_bytes(before.encode())
    assert declarations.add(tmp_path, manifest, "new")
    assert (tmp_path / manifest.path).read_bytes().decode() == after


@pytest.mark.parametrize(
    ("manifest", "text"),
    [
        (REQUIREMENTS, "six==1.0 --hash=sha256:aa\n"),
        (SETUP_PY, "setup(install_requires=read('r.txt'))\n"),
        (PEP621, "[project]\ndynamic = ['dependencies']\n"),
        (SETUP_CFG, "[metadata]\nname = x\n"),
    ],
)
def test_add__list_that_cannot_take_it__is_left_alone(tmp_path, manifest, text):
    (tmp_path / manifest.path).write_text(text)
    assert not declarations.add(tmp_path, manifest, "new")
    assert (tmp_path / manifest.path).read_text() == text


@pytest.mark.parametrize(
    ("requirement", "expected"),
    [
        ("pytest", "pytest<7"),
        ("pytest>=6", "pytest>=6,<7"),
        ("pytest >= 6", "pytest >= 6,<7"),
        ("pytest>=6,<9", "pytest>=6,<7"),
        ("pytest[x]~=6.1  # keep", "pytest[x]~=6.1,<7  # keep"),
        ("pytest  # why", "pytest<7  # why"),
        ("pytest; python_version > '3'", "pytest<7; python_version > '3'"),
        ("pytest==6.2", None),
        ("pytest @ https://example.org/p.whl", None),
    ],
)
def test_bounded__requirement__gets_the_bound_or_is_refused(requirement, expected):
    assert bounded(requirement, "<7") == expected


@pytest.mark.parametrize(
    ("manifest", "before", "after"),
    [
        (REQUIREMENTS, "a\nPyTest>=6\nb\n", "a\nPyTest>=6,<7\nb\n"),
        (PEP621, '[project]\ndependencies = ["pytest>=6", "b"]\n', '[project]\ndependencies = ["pytest>=6,<7", "b"]\n'),
        (POETRY, '[tool.poetry.dependencies]\npytest = "*"\n', '[tool.poetry.dependencies]\npytest = "<7"\n'),
        (SETUP_CFG, "[options]\ninstall_requires =\n  pytest\n", "[options]\ninstall_requires =\n  pytest<7\n"),
        (SETUP_CFG, "[options]\ninstall_requires = pytest\n", "[options]\ninstall_requires = pytest<7\n"),
        (SETUP_PY, "setup(install_requires=['a', 'pytest'])\n", "setup(install_requires=['a', 'pytest<7'])\n"),
    ],
)
def test_bound__declared_distribution__is_bounded_where_it_is_declared(tmp_path, manifest, before, after):
    (tmp_path / manifest.path).write_text(before)
    assert declarations.bound(tmp_path, manifest, "pytest", "<7")
    assert (tmp_path / manifest.path).read_text() == after


@pytest.mark.parametrize("line", ["-r x.txt", "# six", "git+https://example.org/x", "./local", ""])
def test_name_of__no_requirement__is_none(line):
    assert name_of(line) is None


@pytest.mark.parametrize(
    ("module", "distribution"),
    [
        ("yaml", "PyYAML"), ("cv2", "opencv-python"), ("sklearn.linear_model", "scikit-learn"), ("PIL.Image", "pillow"),
        ("bs4", "beautifulsoup4"), ("dateutil.parser", "python-dateutil"), ("dotenv", "python-dotenv"),
        ("attr", "attrs"),
        ("jwt", "PyJWT"), ("requests", "requests"), ("google.cloud.storage", "google-cloud-storage"),
        ("pkg_resources", "setuptools"), ("reqeusts", None), ("my_private_thing", None),
    ],
)  # fmt: skip
def test_distribution_for__module__only_known_names(module, distribution):
    assert names.distribution_for(module) == distribution


def test_missing_pytest_plugins__what_pytest_says__names_the_plugin():
    log = "E       fixture 'mocker' not found\npytest: error: unrecognized arguments: --cov=x --cov-report=xml -n 4\n"
    assert names.missing_pytest_plugins(log) == ["pytest-mock", "pytest-cov", "pytest-xdist"]


def test_choose_manifest__use__decides_the_file():
    run, dev = Manifest("requirements", "requirements.txt"), Manifest("requirements", "requirements-dev.txt", (), True)
    assert choose_manifest([dev, run], development=False) == run
    assert choose_manifest([run, dev], development=True) == dev
    assert choose_manifest([run], development=True) == run
    assert choose_manifest([], development=True) is None


@pytest.mark.parametrize(
    ("version", "bound"), [("2.1.0", "<2.1"), ("82.0.0", "<82"), ("7.0.0rc1", "<7"), ("1.2.3", "<1.2.3")]
)
def test_below__first_bad_version__is_excluded(version, bound):
    assert below(version) == bound


@pytest.mark.parametrize(
    ("working", "failing", "bound"),
    [
        ("2.0.1", "2.1.5", "<2.1"), ("6.2.5", "9.0", "<7"), ("1.2.3", "1.2.9", "<1.2.9"),
        ("3.0", "2.9", None), ("odd!", "1", None), ("1.2", None, "<2"),
    ],
)  # fmt: skip
def test_just_above__two_versions__bound_between_them(working, failing, bound):
    assert just_above(working, failing) == bound


PACKAGE = (
    '{\n  "name": "x",\n  "dependencies": {\n    "lodash": "4.17.21"\n  },\n'
    '  "devDependencies": {\n    "typescript": "5.6.3"\n  }\n}\n'
)


def test_with_dev_dependency__sorted_and_exact__keeps_order_and_style():
    edited = with_dev_dependency(PACKAGE, "@types/lodash", "4.17.0")
    assert edited == PACKAGE.replace('    "typescript"', '    "@types/lodash": "4.17.0",\n    "typescript"')


@pytest.mark.parametrize(
    "text",
    [
        '{\n  "dependencies": {"lodash": "^4"}\n}\n',
        '{\n\t"name": "x"\n}',
        '{\r\n  "name": "x",\r\n  "devDependencies": {}\r\n}\r\n',
        '{\n  "devDependencies": {\n    "zod": "^1",\n    "ava": "^1"\n  },\n  "x": {"y": []}\n}\n',
    ],
)
def test_with_dev_dependency__any_layout__only_adds_the_entry(text):
    edited = with_dev_dependency(text, "@types/node", "20.1.0")
    before, after = json.loads(text), json.loads(edited)
    assert after.pop("devDependencies") == {**before.pop("devDependencies", {}), "@types/node": "^20.1.0"}
    assert after == before
    assert ("\r\n" in edited) == ("\r\n" in text)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": 1}'])
def test_with_dev_dependency__no_usable_text__is_none(text):
    assert with_dev_dependency(text, "x", "1.0.0") is None
