"""Comments and annotations that tell a checker to look away, in any language. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from autofix.guard.verdict import ChangedText, Finding

# What follows the marker (the codes) belongs to the match: a wider suppression is a new one.
_MARKERS = re.compile(
    r"""
    (?: \#\s*(?:ruff|flake8)\s*[:;]\s*noqa | \#\s*noqa | \bnoqa\b\s*:
      | \#\s*type\s*:\s*ignore | \#\s*(?:pyright|pyre|ty|basedpyright)\s*[:-]\s*\w+ | \#\s*pyre-\w+
      | \#\s*mypy\s*:
      | \#\s*pytype\s*: | \#\s*pylint\s*:\s*(?:disable|skip)[\w-]* | pylint:\s*disable
      | \#\s*pragma\s*:?\s*no\s*-?\s*(?:cover|branch|mutate)
      | pragma\s*:\s*(?:allowlist|whitelist)[\s\w-]*secret
      | \#\s*fmt\s*:\s*(?:off|skip) | \#\s*yapf\s*:\s*disable | \#\s*autopep8\s*:\s*off | \#\s*isort\s*:\s*\w+
      | \#\s*black\s*:\s*\w+ | \#\s*nosec\b | \bnosec\b | nosemgrep | \bNOSONAR\b | \blgtm\s*\[ | skipcq
      | \#\s*skylos
      | gitleaks\s*:\s*allow | ggignore | trufflehog\s*:\s*ignore | noinspection | trunk-ignore
      | deepcode\s+ignore
      | (?:checkov|tfsec|terrascan|trivy|kics|kics-scan)\s*:\s*(?:skip|ignore)[\w-]*
      | hadolint\s+(?:global\s+)?ignore
      | (?:eslint|oxlint|tslint|stylelint|jslint)\s*[-:]\s*(?:disable|ignore)[\w-]* | /\*\s*eslint\s
      | jshint\s+ignore
      | (?:prettier|biome|deno-lint|rome|dprint)-ignore[\w-]* | @ts-(?:ignore|nocheck|expect-error)
      | @flow\s+(?:strict|weak)?|@noflow|\$Flow(?:FixMe|Issue|Ignore)
      | (?:istanbul|c8|v8|node:coverage)\s+(?:ignore|disable)
      | //\s*nolint | //\s*lint:\s*(?:ignore|file-ignore) | //\s*revive:\s*disable | \#nosec
      | //\s*exhaustive:\s*ignore
      | \#!?\[\s*(?:(?:cfg_attr\s*\([^\]]*?)?(?:allow|expect)\s*\( | rustfmt\s*::\s*skip | rustfmt::skip
      | clippy::skip
        | no_coverage | coverage\s*\(\s*off )
      | @Suppress(?:Warnings|FBWarnings|Lint)?\b | @SuppressMessage
      | \[\s*(?:assembly\s*:\s*)?(?:\w+\.)*SuppressMessage
      | @(?:Generated|ExcludeFromCodeCoverage|SkipCoverage)\b | \[\s*ExcludeFromCodeCoverage
      | CHECKSTYLE\s*[:.]?\s*(?:OFF|SUPPRESS)
      | \#\s*pragma\s+warning\s+disable | \#pragma\s+(?:GCC|clang)\s+diagnostic\s+ignored | NOLINT\w*
      | clang-format\s+off
      | cppcheck-suppress | coverity\[ | GCOV_EXCL\w* | LCOV_EXCL\w* | ktlint-disable
      | swiftlint\s*:\s*disable
      | rubocop\s*:\s*(?:disable|todo) | \#\s*:nocov: | :nocov: | standard\s*:\s*disable | reek\s*:
      | brakeman\s*:
      | @phpstan-ignore[\w-]* | @psalm-suppress | phpcs\s*:\s*(?:ignore|disable) | @codingStandardsIgnore\w+
      | @codeCoverageIgnore\w* | phpstan:ignore | credo\s*:\s*disable[\w-]* | @dialyzer | sobelow_skip
      | shellcheck\s+(?:disable|source=/dev/null) | yamllint\s+disable[\w-]* | markdownlint-disable[\w-]*
      | markdownlint-capture | cspell\s*:\s*(?:disable|ignore)[\w-]* | codespell\s*:\s*ignore
      | spell-checker\s*:\s*\w+
      | typos\s*:\s*ignore | <!--\s*vale\s+off | ansible-lint\s+disable | sqlfluff\s*:\s*(?:disable|noqa)
      | --\s*noqa
      | djlint\s*:\s*off | html-?validate-disable | htmlhint\s+\w+:\s*false | detekt\.\w+ | @nx-ignore
      | mutmut:\s*disable
    )[^\n]*
    """,
    re.VERBOSE | re.IGNORECASE,
)


def check_suppressions(text: ChangedText) -> Iterator[Finding]:
    """A suppression that the new text has more often than the old. Moving a line is not one, widening is."""
    if text.is_deleted:
        return
    known = Counter(_normal(match.group()) for match in _MARKERS.finditer(text.old))
    for number, line in enumerate(text.new.splitlines(), start=1):
        for match in _MARKERS.finditer(line):
            words = _normal(match.group())
            if known[words] > 0:
                known[words] -= 1
            else:
                yield text.finding("suppression", "a comment or attribute tells a checker to look away", line=number)


def _normal(words: str) -> str:
    return re.sub(r"\s+", "", words).lower()
