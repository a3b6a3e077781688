"""What makes a shell command pass without doing its work, or check less than it did. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

_NEUTRALISERS = (
    (r"\|\|\s*(?:true|:|/bin/true|/usr/bin/true|exit\s+0|return(?:\s+0)?|echo|printf|test\b|\[|false\s*\|\|"
     r"|cat\b|sleep|\{?\s*:)",
     "its failure is turned into success"),
    (r"\|\|\s*\S*(?:python3?|node|perl|ruby|sh|bash|env)\s", "its failure is answered by another command"),
    (r"(?:;|&&|\n|^|\{|\|)\s*(?:exit\s+0|exit\s*$|return\s+0|true|:|/bin/true)\s*(?:;|\n|$|\}"
     r"|&)", "it ends in success whatever happens"),
    (r"\bexit\s+(?:0|\$\(\(\s*0|\"0\"|'0'|\$\{?ZERO)", "it exits with 0"),
    (r"\bset\s+\+(?:[a-z]*e|o\s+(?:errexit|pipefail))", "it goes on after errors"),
    (r"\btrap\b[^\n]*\b(?:EXIT|ERR|0|DEBUG)\b", "a trap can change its exit status"),
    (r"(?:^|[;&|(\n]\s*)!\s+\S", "its exit status is inverted"),
    (r"(?<![&>|])&\s*(?:$|\n|;|disown|wait\b|\))", "it runs in the background, unwatched"),
    (r"(?<!\|)\|\s*(?:tee|cat|head|tail|grep|true|less|xargs|sed|awk|wc|sort"
     r"|:)\b", "a pipe hides its exit status"),
    (r"\|&", "a pipe hides its exit status"),
    (r"\bif\s[^;\n]{0,300};?\s{0,80}\bthen\s+(?:true|:"
     r"|echo)", "its exit status only chooses a branch"),
    (r"\b(?:while|until)\s+!?\s*\S", "its exit status only ends a loop"),
    (r"\b(?:timeout|nohup|setsid|disown|eval|alias|unalias|function)\b", "it is wrapped in something else"),
    (r"\bcommand\s+-v\b|\bwhich\b|\btype\s+-p\b|\[\[?\s|\btest\s+-", "it runs under a condition"),
    (r"--exit-zero\b|--exit-zero-even-if-changed|--exit-code[= ]0|--no-exit-code|--no-fail\b|--soft-fail"
     r"|--no-failure|--warn-only"
     r"|--allow-failures?\b|--continue-on-[\w-]*(?:error|failure)|--keep-going|--force-exit|--forceExit"
     r"|--fail-on[= ]never"
     r"|--suppress-tests-failed-exit-code|--suppress-no-test-exit-code|--no-error-on-unmatched-pattern"
     r"|continue-on-error|ignore_errors?"
     r"|--pass-with-no-tests|--passWithNoTests|--audit-level[= ](?:none|critical)|--no-error\b|--silent-exit"
     r"|-fae\b", "an option makes it pass"),
    (r"--no-verify\b|\bSKIP=|HUSKY=0|PYTEST_ADDOPTS|MYPY_?FORCE|RUFF_\w+=|ESLINT_\w+="
     r"|FLAKE8_\w+=", "a check is switched off"),
    (r"\s-k\b|--deselect\b|--ignore(?:-glob)?\b|--ignore=|\s-m\s+['\"]?not\b|--skip(?:-\w+)*\b"
     r"|--exclude(?:-\w+)*\b|--extend-(?:exclude|ignore)\b"
     r"|--per-file-ignores|--testPathIgnorePatterns|--testNamePattern|--test-name-pattern|\s-t\s+['\"]"
     r"|--grep\b|--invert\b"
     r"|-run\s+['\"]?\^\$|\s-short\b|-skip\b|-DskipTests|-Dmaven\.test\.(?:skip|failure\.ignore)|-x\s+test\b"
     r"|--no-run\b|-Dskip"
     r"|--exclude-tag|--filter\b|--lf\b|--last-failed|--sw\b|--stepwise|--collect-only|--co\b|--fixtures\b"
     r"|--setup-(?:plan|only|show)"
     r"|--testmon|--nomigrations|--findRelatedTests|--onlyChanged|--shard\b|--maxfail|--runxfail"
     r"|--no-tests\b|--tests-per", "it looks at less"),
    (r"--no-cov\b|--cov-fail-under|--fail-under|--max-warnings|--quiet-level|--severity|--min-(?:confidence"
     r"|severity)|--no-strict"
     r"|--ignore-missing-imports|--follow-imports|--disable-error-code|--allow-\w+|--disable\b|--disable="
     r"|--no-warn|--skipLibCheck"
     r"|--noImplicitAny|--strict\s+false|--ignore-vuln|--ignore-vulns|--ignore-unfixed|--no-audit|--baseline"
     r"|--update-baseline"
     r"|--snapshot-update|--update-?[Ss]napshots?\b|--updateSnapshot|--force-regen|--ci=false|--bless\b"
     r"|\s-u\b|--no-lint|--no-rules|--rule\s"
     r"|--no-eslintrc|--no-config|--isolated|--config\b|--ignore-path|--select\b|--ignore\b|-Wno-\w+|-w\b"
     r"|--cap-lints|-A\s+\w+"
     r"|--no-deps-check|--insecure|--trusted-host|--no-check\S*|--ignore-scripts|--add-noqa|--unsafe-fixes"
     r"|--noconftest|-p\s+no:|-c\s+/dev/null"
     r"|--rootdir|--confcutdir|--override-ini|\s-o\s", "it is less strict"),
    (r"--fix\b|--write\b|--fake(?:-initial)?\b|--dry-run\b|--version\b|--help\b|--list\b"
     r"|--exit-non-zero-on-fix|--fix-only|-h\b", "it does something else"),
)  # fmt: skip
_PATTERNS = tuple((re.compile(pattern, re.MULTILINE), why) for pattern, why in _NEUTRALISERS)

_TAMPERING = re.compile(
    r"\b(?:rm|mv|unlink|shred|truncate|sed\s+(?:-\w*i|--in-place)|perl\s+-\w*i|patch|ed|tee|dd|ln"
    r"|chmod\s+(?!\+x)|git"
    r"|cp|touch|kill|pkill|killall|eval|base64|nc|sudo|su|export|alias|source)\b"
    r"|(?<![0-9&])>{1,2}(?!\s*(?:/dev/null|&))|\bpython3?\s+-c\b|\bnode\s+-e\b|\bperl\s+-e\b"
    r"|\|\s*(?:ba|z|da)?sh\b|\bcurl\b|\bwget\b|<<|\$\(|`|:\s*\(\)"
)
_CHECK_TOOLS = re.compile(
    r"\b(?:pytest|unittest|nose2?|tox|nox|ruff|black|isort|flake8|pylint|mypy|pyright|pyre|bandit|safety"
    r"|pip-audit|coverage|"
    r"eslint|prettier|tsc|jest|vitest|mocha|ava|karma|cypress|playwright|stylelint|biome|npm\s+(?:test|run"
    r"|audit)|yarn\s+\w+|pnpm\s+\w+|"
    r"go\s+(?:test|vet)|golangci-lint|staticcheck|gofmt|cargo\s+(?:test|clippy|fmt|audit|deny|check)|mvn"
    r"|gradlew?|rspec|rubocop|"
    r"shellcheck|hadolint|yamllint|markdownlint|codespell|detect-secrets|gitleaks|trivy|semgrep|pre-commit"
    r"|makemigrations|"
    r"manage\.py\s+(?:test|check)|set\s+-[a-z]*e[a-z]*|set\s+-o\s+\w+|(?:make|just)\s+\w*(?:test|lint"
    r"|check)\w*)\b"
)


def newly_neutralised(old: str, new: str) -> Iterator[str]:
    """Why `new` passes more easily than `old`: one reason for each device that `old` does not have as often."""
    for pattern, why in _PATTERNS:
        before = Counter(match.group().strip() for match in pattern.finditer(old))
        if Counter(match.group().strip() for match in pattern.finditer(new)) - before:
            yield why


def lost_checks(old: str, new: str) -> Iterator[str]:
    """The check tools, and the `set -e`, that `old` calls more often than `new`."""
    yield from Counter(_CHECK_TOOLS.findall(old)) - Counter(_CHECK_TOOLS.findall(new))


def tampers(command: str) -> str:
    """The part of a preparing command that does more than prepare, or ""."""
    found = _TAMPERING.search(command)
    return found.group().strip() if found else ""
