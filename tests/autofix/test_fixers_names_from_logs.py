"""What a log names is data: it decides neither what is installed nor what a shell runs."""

import contextlib
import shlex

import pytest

from autofix.failures import FailureType
from autofix.fixers import all_fixers
from autofix.fixers.base import CannotFix, CommandResult
from autofix.fixers.missing_tool import InstallStepFixer
from autofix.fixers.names import known_stubs
from autofix.fixers.releases import Releases
from autofix.fixers.requirement import RequirementFixer, missing_modules, newest_version
from autofix.fixers.stubs import NodeTypesFixer, StubsFixer, hinted_stubs, hinted_types
from tests.autofix.bench import make_failure, make_plan, make_project

HOSTILE = (
    "x; touch pwned",
    "$(touch pwned)",
    "`touch pwned`",
    "x' && touch pwned && '",
    'x" && touch pwned && "',
    "--index-url=https://evil.example/simple",
    "-r/etc/passwd",
    "r\u0435quests",  # a Cyrillic letter
    "../../outside/bin/python",
    "x\ntouch pwned",
)
SHAPES = (
    "ModuleNotFoundError: No module named '{}'",
    "/usr/bin/python: No module named {}",
    "bash: line 1: {}: command not found",
    "{}/bin/ruff: No such file or directory",
    "ImportError: cannot import name '{0}' from '{0}' (/x/site-packages/{0}/__init__.py)",
    "AttributeError: module '{0}' has no attribute '{0}'",
    'a.py:1: error: Library stubs not installed for "{}"  [import-untyped]',
    'a.py:1: note: Hint: "python3 -m pip install types-{}"',
    "a.ts(1,1): error TS7016: no types for '{0}'. Try `npm i --save-dev @types/{0}` if it exists",
    "Cannot find module '{}'",
    "error: unrecognized arguments: {}",
    "  Your models in app(s): {} have changes that are not yet reflected in a migration",
    "Conflicting migrations detected; multiple leaf nodes in the migration graph: (0002_a, 0002_b in {}).",
    "bash: ./{}: Permission denied",
)
PLAN = {"install": "uv pip install -r requirements.txt", "types": "mypy ."}


def stubs_failure(bench, log):
    return make_failure(bench, make_plan(**PLAN), "types", log, type=FailureType.TYPECHECK)


def hint(names):
    return f'app.py:1: note: Hint: "python3 -m pip install {names}"\n'


@pytest.mark.parametrize(
    "line",
    [
        '    x: int = "pip install types-toml"',  # the source below a finding of `mypy --pretty`
        '    # app.py:1: note: Hint: "python3 -m pip install types-toml"',
        'print("pip install types-toml")',
        "WARNING: run pip install types-toml",
        'note: Hint: "python3 -m pip install types-toml"',
    ],
)
def test_stubs__name_outside_the_checkers_own_hint__is_nobodys_request(tmp_path, line):
    bench = make_project(tmp_path / "p", {"requirements.txt": "mypy\n"})
    log = f"app.py:1: error: Incompatible types in assignment  [assignment]\n{line}\n"
    assert StubsFixer().candidates(stubs_failure(bench, log)) == ()


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        (hint("types-requests"), ["types-requests"]),
        (
            'src/a b.py:1:5:1:9: note: Hint: "python3 -m pip install types-PyYAML lxml-stubs"\n',
            ["types-PyYAML", "lxml-stubs"],
        ),
        ('a.py:3: \x1b[34mnote:\x1b[m Hint: "python3 -m pip install types-toml"\n', ["types-toml"]),
        (
            'a.py:1: error: Library stubs not installed for "google.protobuf.message"  [import-untyped]\n',
            ["types-protobuf"],
        ),
        (hint("types-a --index-url=https://evil.example"), []),
        (hint("types-r\u0435quests"), []),
    ],
)
def test_hinted_stubs__lines_of_mypy__are_read_in_every_form(log, expected):
    assert hinted_stubs(log) == expected


def test_stubs__name_that_nobody_vouches_for__waits_for_a_person(tmp_path):
    bench = make_project(tmp_path / "p", {"requirements.txt": "mypy\n"})
    failure = stubs_failure(bench, hint("types-no-such-thing"))
    [candidate] = StubsFixer().candidates(failure)
    assert "types-no-such-thing" in candidate.gate_reason
    proposal = next(StubsFixer().trials(candidate, failure, bench))  # a person agreed to exactly this
    assert proposal.vouched == ()


def test_stubs__project_declares_what_they_type__are_vouched_for(tmp_path):
    bench = make_project(tmp_path / "p", {"requirements.txt": "mypy\nHouse.Made>=2\n"})
    failure = stubs_failure(bench, hint("types-house-made"))
    [candidate] = StubsFixer().candidates(failure)
    assert candidate.gate_reason is None
    assert next(StubsFixer().trials(candidate, failure, bench)).vouched == ("types-house-made",)


def test_stubs__a_later_log_names_a_stranger__is_not_installed(tmp_path):
    bench = make_project(tmp_path / "p", {"requirements.txt": "mypy\n"})
    failure = stubs_failure(bench, hint("types-requests"))
    [candidate] = StubsFixer().candidates(failure)
    trials = StubsFixer().trials(candidate, failure, bench)
    assert next(trials).vouched == ("types-requests",)

    class Result:
        log, signal = hint("types-no-such-thing"), None

    with pytest.raises(CannotFix, match="types-no-such-thing"):
        trials.send(Result())
    assert "no-such-thing" not in (bench.root / "requirements.txt").read_text()


def test_known_stubs__well_known_and_invented__are_told_apart():
    assert known_stubs("types-PyYAML")
    assert known_stubs("types-python-dateutil")
    assert known_stubs("types_setuptools")
    assert not known_stubs("types-no-such-thing")
    assert not known_stubs("toml")


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        (
            "src/a.ts(1,1): error TS2580: Cannot find name 'process'. Try `npm i --save-dev @types/node`.",
            ["@types/node"],
        ),
        (
            "a.ts(1,1): error TS7016: None.\n  Try `npm i --save-dev @types/lodash` if it exists",
            ["@types/lodash"],
        ),
        (
            "a.ts(1,1): error TS7016: No.\n  Try `npm i --save-dev @types/scope__name` if it exists",
            ["@types/scope__name"],
        ),
        (
            "a.ts(1,1): error TS2582: No. Try `npm i --save-dev @types/jest` or `npm i --save-dev @types/mocha`.",
            ["@types/mocha"],
        ),
        ("a.ts(1,1): error TS7016: No.\n  Try `npm i --save-dev @types/evil` if it exists", []),
        ("a.ts:1:1 - error TS1: No.\n\n1 const s = 'error TS1: Try `npm i --save-dev @types/lodash`'", []),
    ],
)
def test_hinted_types__only_what_the_project_declares(tmp_path, log, expected):
    package = '{"dependencies": {"lodash": "4", "@scope/name": "1"}, "devDependencies": {"mocha": "10", "jest-x": "1"}}'
    bench = make_project(tmp_path / "p", {"package.json": package})
    failure = make_failure(bench, make_plan(types="tsc"), "types", log, type=FailureType.TYPECHECK)
    assert hinted_types(failure) == expected
    assert bool(NodeTypesFixer().candidates(failure)) == bool(expected)


@pytest.mark.parametrize("name", ["r\u0435quests", "x; touch pwned", "--index-url=x", "-r/etc/passwd", "a-b"])
def test_missing_modules__not_a_module_name__is_not_cut_down_to_one(name):
    assert missing_modules(f"ModuleNotFoundError: No module named '{name}'\nImportError: No module named ok.go\n") == [
        "ok.go"
    ]


def test_requirement__only_the_log_names_it__is_gated_and_not_vouched_for(tmp_path):
    bench = make_project(tmp_path / "p", {"requirements.txt": "requests\n"})
    plan = make_plan(install="uv pip install -r requirements.txt", test="python app.py")
    failure = make_failure(bench, plan, "test", "ModuleNotFoundError: No module named 'squatted_name'\n")
    [candidate] = RequirementFixer().candidates(failure)
    assert candidate.gate_reason
    assert candidate.details["packages"] == ["squatted_name"]
    assert next(RequirementFixer().trials(candidate, failure, bench)).vouched == ()


def test_install_step__environment_outside_the_project__is_not_made(tmp_path):
    bench = make_project(tmp_path / "p", {"requirements.txt": "ruff\n"})
    log = "bash: line 1: ../../outside/bin/python: No such file or directory\n"
    failure = make_failure(
        bench, make_plan(test="../../outside/bin/python app.py"), "test", log, type=FailureType.INFRA
    )
    assert not any("../" in candidate.title for candidate in InstallStepFixer().candidates(failure))


@pytest.mark.parametrize("name", HOSTILE)
def test_releases__hostile_name__runs_nothing_of_it(tmp_path, name):
    bench = make_project(tmp_path / "p", {"requirements.txt": "", "etc.txt": ""})
    plan = make_plan(install="uv pip install -r requirements.txt", test="pytest")
    failure = make_failure(bench, plan, "test", "")
    releases = Releases(bench, name, "python3")
    assert releases.at(None) is None
    assert not releases.has("1.0", name, name)
    assert bench.commands == []
    newest_version(bench, failure, name)
    assert not (bench.root / "pwned").exists()


@pytest.mark.parametrize("name", [*HOSTILE, "yaml"])
def test_all_fixers__hostile_names_in_every_kind_of_line__none_reaches_a_shell(tmp_path, name):
    files = {
        "requirements.txt": "mypy\nrequests\n",
        "package.json": '{"devDependencies": {"typescript": "5"}}',
        "app.py": "import requests\n",
    }
    bench = make_project(tmp_path / "p", files)
    bench.run = _refuse_to_install(bench)
    plan = make_plan(install="uv pip install -r requirements.txt", test="python app.py", types="mypy .")
    tried = 0
    for log in (shape.format(name) + "\n" for shape in SHAPES):
        for kind in (FailureType.RUNTIME, FailureType.INFRA, FailureType.TYPECHECK, FailureType.SCHEMA_MIGRATION):
            failure = make_failure(bench, plan, "types", log, type=kind)
            for fixer in all_fixers():
                for candidate in fixer.candidates(failure):
                    tried += 1
                    _assert_harmless(fixer, candidate, failure, bench)
                    bench.git("checkout", "-q", ".")
    assert not (bench.root / "pwned").exists()
    assert tried or name in HOSTILE  # a name that is one has its fixers


def _refuse_to_install(bench):
    """Commands are recorded; none is run."""

    def run(command, **_):
        bench.commands.append(command)
        return CommandResult(exit_code=1, output="")

    return run


def _assert_harmless(fixer, candidate, failure, bench):
    bench.commands.clear()
    proposals = []
    with contextlib.suppress(CannotFix):
        proposals.append(next(fixer.trials(candidate, failure, bench), None))
    runs = [*bench.commands]
    for proposal in filter(None, proposals):
        runs += [step.run for step in proposal.plan.steps] if proposal.plan else []
    for command in runs:
        words = shlex.split(command.replace("\n", " ; "), comments=False)
        assert not {"touch", "pwned"} & set(words), command
        assert not any(word.startswith(("--index-url=https://evil", "-r/etc")) for word in words), command
        assert "r\u0435quests" not in command
        assert "../../outside" not in command
