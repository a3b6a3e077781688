"""What a patch may not do to code and tests outside Python: compared token by token, layout aside. Pure."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator

from autofix.guard import kinds
from autofix.guard.config_rules import means_the_same
from autofix.guard.verdict import ChangedText, Finding

_TOKEN = re.compile(
    r"""(?P<comment>/\*.*?(?:\*/|\Z)|//[^\n]*)
      |(?P<string>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`)
      |(?P<word>[\w$@]+)|(?P<mark>[^\s\w])""",
    re.VERBOSE | re.DOTALL,
)
_HASH_COMMENT = re.compile(r"(^|\s)#[^\n{]*")
_FOLDED = frozenset(";,()")  # what prettier, gofmt and rustfmt add and drop
_SKIPS = re.compile(
    r"\b(?:describe|it|test|context|suite|specify|bench|t|this|ctx|fixture)\s*\.\s*(?:skip|only|todo|fixme"
    r"|failing|fails|skipIf|runIf"
    r"|concurrent\.skip|each\.skip)\b|\b(?:xit|xdescribe|xtest|xcontext|xspecify|fit|fdescribe|fcontext"
    r"|pending|pend)\s*[(\s\"']"
    r"|\bt\.Skip(?:Now|f)?\b|\bb\.Skip|\btesting\.Short\(\)|//go:build\s|//\s*\+build\s|\bos\.Exit\(0\)"
    r"|#\[\s*ignore|#\[\s*should_panic|#\[\s*cfg\(\s*(?:any\(\)|not\(test|FALSE)|@(?:Disabled|Ignore"
    r"|DisabledIf|DisabledOn\w+|EnabledIf"
    r"|EnabledOn\w+|Ignored)\b|\[\s*(?:Ignore|Skip|Explicit)\b|Skip\s*=\s*\"|\bAssume\.|\bassumeTrue"
    r"|\bassumeFalse|Assumptions\."
    r"|\bskip\s+['\"(]|\bmarkTestSkipped|\bmarkTestIncomplete|@group\s+skip|\bXCTSkip|@tag\s+:?skip"
    r"|\bprocess\.exit\(|:skip\b|,\s*skip:\s*"
    r"|\bGTEST_SKIP|DISABLED_\w+|@wip\b|@skip\b|@ignore\b|\bt\.SkipNow|\bself\.skip|enabled\s*=\s*false"
)
_ASSERTS = re.compile(
    r"\b(?:expect|assert\w*|should|require|verify|check|Assert\w*|XCTAssert\w*|EXPECT_\w+|ASSERT_\w+|must\w*"
    r"|t\.(?:Error|Fatal|Fail)\w*|"
    r"t\.(?:is|deepEqual|equal|ok|true|throws)|toBe\w*|toEqual|toThrow\w*|toMatch\w*|assert_eq|assert_ne)\b"
)
_TESTS = re.compile(
    r"\b(?:it|test|specify|describe)\s*[(.]|\bfunc\s+Test\w+|#\[\s*(?:\w+::)*test\b"
    r"|@(?:Parameterized)?Test\b|\[(?:Fact|Theory|Test)\w*|\bdef\s+test_\w+|\bTEST(?:_F)?\("
)
_SWALLOWS = re.compile(
    r"catch\s*(?:\([^)]*\))?\s*\{\s*(?:(?://[^\n]*|/\*.{0,300}?\*/)\s*){0,9}(?:return\s*(?:null|undefined|true|false|0"
    r"|\{\}|\[\])?\s*;?\s*)?\}"
    r"|\.catch\(\s*(?:\(\s*\w*\s*\)|\w+)\s*=>\s*(?:\{\s*\}|null|undefined|\(\s*\{?\s*\}?\s*\)|void 0)\s*\)"
    r"|\brescue\s+(?:nil|StandardError\s*$|=>\s*\w+\s*\n\s*end)"
    r"|\brescue\s*(?:Exception|StandardError)?(?:\s*=>\s*\w+)?\s*\n\s*(?:nil\s*\n\s*)?end"
    r"|\b_\s*(?:,\s*_\s*)?=\s*err\b|if err != nil \{\s*\}"
    r"|process\.on\(\s*['\"]un(?:caughtException|handledRejection)|@SneakyThrows|\brecover\(\)",
    re.DOTALL,
)
_LOOSE_TYPES = re.compile(
    r"\bas\s+any\b|:\s*any\b|<any>|\bas\s+unknown\s+as\b|\bas\s+never\b|declare\s+module\s+['\"]"
    r"|\binterface\{\}|\bas!\s|!!\."
)


def check_tokens(text: ChangedText) -> Iterator[Finding]:
    """Code in languages other than Python, and whatever else lies in a test folder."""
    if text.is_deleted or text.suffix in {".py", ".pyi"}:
        return
    if kinds.is_snapshot(text.path):
        if not means_the_same(text):
            yield text.finding("snapshot-rewritten", "expected output is written anew")
        return
    is_code = text.suffix in kinds.CODE_SUFFIXES
    if is_code:
        yield from _more(text, _SKIPS, "test-skipped", "a test is skipped, focused or switched off")
        yield from _more(text, _SWALLOWS, "swallowed-exception", "an error is caught and dropped")
        yield from _more(text, _LOOSE_TYPES, "typing-loosened", "a type is given up")
    if text.is_new:
        return
    if (kinds.is_test(text.path) and not kinds.is_build_script(text.path)) or _holds_tests(text):
        yield from _check_test_text(text)
    elif is_code:
        if _tokens(text.old, text.suffix) and not _tokens(text.new, text.suffix):
            yield text.finding("code-removed", "the file is empty now")
    elif ">>> " in text.old and _doctests(text.old) - _doctests(text.new):
        yield text.finding("test-changed", "examples in the documentation, which may be tests, have changed")


def _more(text: ChangedText, pattern: re.Pattern[str], rule: str, message: str) -> Iterator[Finding]:
    known = Counter(_squeezed(match.group()) for match in pattern.finditer(text.old))
    for match in pattern.finditer(text.new):
        words = _squeezed(match.group())
        if known[words] > 0:
            known[words] -= 1
        else:
            yield text.finding(rule, message, line=text.new.count("\n", 0, match.start()) + 1)


def _squeezed(words: str) -> str:
    return re.sub(r"\s|['\"`;]", "", words)


def _holds_tests(text: ChangedText) -> bool:
    """Rust keeps unit tests beside the code, below `#[cfg(test)]`; that part is compared."""
    return text.suffix == ".rs" and "#[test]" in text.old


def _check_test_text(text: ChangedText) -> Iterator[Finding]:
    old, new = text.old, text.new
    if _holds_tests(text) and not kinds.is_test(text.path):
        old, new = (side[side.find("#[cfg(test)]") :] if "#[cfg(test)]" in side else "" for side in (old, new))
    if text.suffix not in kinds.CODE_SUFFIXES:
        if not means_the_same(text):
            yield text.finding("test-changed", "data that tests read has changed")
        return
    if _comparable(old, text.suffix) == _comparable(new, text.suffix):
        return
    fewer = [
        len(pattern.findall(_uncommented(new, text.suffix))) < len(pattern.findall(_uncommented(old, text.suffix)))
        for pattern in (_TESTS, _ASSERTS)
    ]
    if fewer[0]:
        yield text.finding("test-removed", "a test is gone")
    elif fewer[1]:
        yield text.finding("assertion-removed", "the tests assert less than before")
    else:
        yield text.finding("test-changed", "the tests do something else")


def _uncommented(content: str, suffix: str) -> str:
    if suffix not in kinds.C_LIKE_SUFFIXES:
        return _HASH_COMMENT.sub(" ", content)
    return _TOKEN.sub(lambda match: " " if match.lastgroup == "comment" else match.group(), content)


def _tokens(content: str, suffix: str) -> list[str]:
    if suffix not in kinds.C_LIKE_SUFFIXES:
        return _HASH_COMMENT.sub(" ", content).split()
    tokens = []
    for match in _TOKEN.finditer(content):
        word = match.group()
        if match.lastgroup == "comment" or word in _FOLDED:
            continue
        if match.lastgroup == "string" and not word.startswith("`"):
            word = json.dumps(word[1:-1].replace("\\'", "'").replace('\\"', '"'))
        tokens.append("const" if word in {"var", "let"} else word)
    return tokens


def _comparable(content: str, suffix: str) -> tuple[list[str], list[str]]:
    """The imports in any order, and the other tokens in theirs."""
    if suffix not in kinds.C_LIKE_SUFFIXES:
        return [], _tokens(content, suffix)
    imports = re.findall(r"^\s*(?:import|use|using)\b[^\n]*$", content, re.MULTILINE)
    rest = re.sub(r"^\s*(?:import|use|using)\b[^\n]*$", "", content, flags=re.MULTILINE)
    return sorted(" ".join(_tokens(line, suffix)) for line in imports), _tokens(rest, suffix)


def _doctests(content: str) -> Counter[str]:
    blocks = re.findall(r"^\s*>>> .*?(?=\n\s*\n|\Z)", content, re.MULTILINE | re.DOTALL)
    return Counter(line.strip() for block in blocks for line in block.splitlines())
