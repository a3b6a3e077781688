"""The simple commands inside a step's bash text, so that one can be run again a little changed. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from autofix.fixers.tables import words

MAX_COMMAND = 64 * 1024
_MAX_DEPTH = 4
_BLANK = re.compile(r"[ \t\r]*(?:\\\n[ \t\r]*)*")
_OPERATOR = re.compile(r"&&|\|\||;;|\|&|[;|&()\n]")
_REDIRECTION = re.compile(r"(?:\d*|&)(?:<<<|>>|<>|>\||[<>]&?)")
_HERE_DOCUMENT = re.compile(r"\d*<<-?(?!<)")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*\+?=")
_RESERVED = words("{ } ! if then else elif fi do done while until time exec command nohup")


class Unreadable(ValueError):
    """The text uses something of bash that is not understood here."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word as written, and its value with quotes removed; expansions stay unexpanded in both."""

    raw: str
    value: str


@dataclass(frozen=True, slots=True)
class SimpleCommand:
    """One command. `before` holds the raw `cd` and `export` commands that ran earlier in the same text."""

    words: tuple[Word, ...]
    assignments: tuple[str, ...] = ()
    before: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return base_name(self.words[0].value) if self.words else ""

    @property
    def values(self) -> list[str]:
        return [word.value for word in self.words]

    def text(self, words: Sequence[str] | None = None) -> str:
        """Bash text that runs this command alone, from where the whole text starts; `words` are raw words."""
        chosen = [word.raw for word in self.words] if words is None else words
        return " && ".join((*self.before, " ".join((*self.assignments, *chosen))))


@dataclass(slots=True)
class _Scan:
    text: str
    at: int = 0
    depth: int = 0
    found: list[SimpleCommand] = field(default_factory=list)
    nested: list[str] = field(default_factory=list)


def parse(text: str) -> tuple[SimpleCommand, ...]:
    """The simple commands of `text` in order, those of command substitutions included; () where unreadable."""
    if len(text) > MAX_COMMAND:
        return ()
    try:
        return tuple(_parse(text, 0))
    except Unreadable:
        return ()


def base_name(path: str) -> str:
    return path.replace("\\", "/").rsplit("/", 1)[-1].removesuffix(".exe").removesuffix(".cmd")


def _parse(text: str, depth: int) -> list[SimpleCommand]:
    if depth > _MAX_DEPTH:
        raise Unreadable("nested too deeply")
    scan = _Scan(text, depth=depth)
    words: list[Word] = []
    before: tuple[str, ...] = ()
    while scan.at < len(text):
        scan.at = _BLANK.match(text, scan.at).end()  # type: ignore[union-attr]  # the pattern matches nothing too
        if scan.at >= len(text):
            break
        if text[scan.at] == "#":
            end = text.find("\n", scan.at)
            scan.at = len(text) if end < 0 else end
        elif _HERE_DOCUMENT.match(text, scan.at):
            raise Unreadable("here-document")
        elif redirection := _REDIRECTION.match(text, scan.at):
            scan.at = redirection.end()
            scan.at = _BLANK.match(text, scan.at).end()  # type: ignore[union-attr]  # as above
            _read_word(scan)
        elif operator := _OPERATOR.match(text, scan.at):
            scan.at = operator.end()
            before = _close(scan, words, before)
            words = []
        else:
            words.append(_read_word(scan))
    _close(scan, words, before)
    return scan.found


def _close(scan: _Scan, words: list[Word], before: tuple[str, ...]) -> tuple[str, ...]:
    """End a command: keep it, and return what must run before those that follow."""
    for text in scan.nested:
        inner = _parse(text, scan.depth + 1)
        scan.found += [replace(command, before=(*before, *command.before)) for command in inner]
    scan.nested.clear()
    while words and words[0].raw in _RESERVED:
        words = words[1:]
    while words and words[-1].raw == "}":
        words = words[:-1]
    count = next((i for i, word in enumerate(words) if not _ASSIGNMENT.match(word.raw)), len(words))
    assignments, rest = tuple(word.raw for word in words[:count]), tuple(words[count:])
    if not rest:
        return (*before, *assignments)
    command = SimpleCommand(rest, assignments, before)
    scan.found.append(command)
    if command.name in ("cd", "export", "source", ".", "set", "pushd"):
        return (*before, " ".join(word.raw for word in rest))
    return before


def _read_word(scan: _Scan) -> Word:
    text, start, value = scan.text, scan.at, list[str]()
    while scan.at < len(text) and text[scan.at] not in " \t\r\n;|&()<>":
        char = text[scan.at]
        if char == "'":
            end = _find(text, "'", scan.at + 1)
            value.append(text[scan.at + 1 : end])
            scan.at = end + 1
        elif char == '"':
            scan.at += 1
            while scan.at < len(text) and text[scan.at] != '"':
                value.append(_read_character(scan))
            scan.at += 1
        else:
            value.append(_read_character(scan))
    if scan.at > len(text):
        raise Unreadable("unclosed quote")
    if scan.at == start:
        raise Unreadable("no word")
    return Word(text[start : scan.at], "".join(value))


def _read_character(scan: _Scan) -> str:
    """One character, escape, or whole substitution; the text of a command substitution is put by."""
    text, at = scan.text, scan.at
    if text[at] == "\\":
        scan.at += 2
        return "" if text[at + 1 : at + 2] == "\n" else text[at + 1 : at + 2]
    if text.startswith("$(", at):
        scan.at = _closing(text, at + 1)
        if not text.startswith("$((", at):
            scan.nested.append(text[at + 2 : scan.at - 1])
    elif text[at] == "`":
        scan.at = _find(text, "`", at + 1) + 1
        scan.nested.append(text[at + 1 : scan.at - 1])
    elif text.startswith("${", at):
        scan.at = _find(text, "}", at) + 1
    else:
        scan.at += 1
    return text[at : scan.at]


def _closing(text: str, at: int) -> int:
    """Where the parenthesis opened at `at` has been closed."""
    depth, quote = 0, ""
    for index in range(at, len(text)):
        char = text[index]
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char == "(":
            depth += 1
        elif char == ")":
            depth -= 1
            if depth == 0:
                return index + 1
    raise Unreadable("unclosed parenthesis")


def _find(text: str, what: str, start: int) -> int:
    at = text.find(what, start)
    if at < 0:
        raise Unreadable(f"unclosed {what}")
    return at


# Commands that run the command in their arguments, with the options whose next word is a value.
_RUNNERS = words(
    "env uv uvx poetry pipenv pdm hatch rye pixi npx pnpm pnpx yarn npm bunx bun pipx python python3 "
    "nice time timeout xargs sudo corepack stdbuf conda micromamba"
)
_VALUE_OPTIONS = words(
    "--with --with-requirements --with-editable --from --python -p --package --group --extra --only-group "
    "--directory --project --env-file -n --index-url --workspace -w -C --cwd --no-group"
)
_PYTHON = re.compile(r"python[\d.]*$|pypy[\d.]*$")


@dataclass(frozen=True, slots=True)
class Invocation:
    """A tool inside a command: `command.words[index]` names it, what follows are its arguments."""

    command: SimpleCommand
    index: int

    @property
    def arguments(self) -> tuple[Word, ...]:
        return self.command.words[self.index + 1 :]

    @property
    def prefix(self) -> tuple[Word, ...]:
        return self.command.words[: self.index + 1]

    def with_arguments(self, arguments: Sequence[str]) -> str:
        """Bash text that runs the same tool in the same way with other (raw) arguments."""
        return self.command.text([*(word.raw for word in self.prefix), *arguments])


def invocations(text: str, is_tool: Callable[[str], bool]) -> Iterator[Invocation]:
    """Each place in `text` that runs a tool, directly, as a module, or through uv, poetry, npx and their like."""
    for command in parse(text):
        found = find_tool(command, is_tool)
        if found is not None:
            yield found


def find_tool(command: SimpleCommand, is_tool: Callable[[str], bool]) -> Invocation | None:
    values = command.values
    for index, value in enumerate(values):
        if not is_tool(base_name(value)) or (index and values[index - 1] in _VALUE_OPTIONS):
            continue
        if index == 0 or runs_others(values[:index]):
            return Invocation(command, index)
    return None


def runs_others(words: Sequence[str]) -> bool:
    """Whether words such as `uv run`, `python -m` or `npx --no-install` make the next word the command."""
    first = base_name(words[0])
    if _PYTHON.match(first):
        return words[-1] == "-m"
    if first not in _RUNNERS:
        return False
    if words[-1] == "-m":
        return any(_PYTHON.match(base_name(word)) for word in words)
    plain = [word for word in words[1:] if not word.startswith("-") and not _ASSIGNMENT.match(word)]
    skipped = [word for index, word in enumerate(words[1:]) if words[index] in _VALUE_OPTIONS]
    others = [word for word in plain if word not in skipped and not re.fullmatch(r"[\d.]+[smh]?", word)]
    return all(word in ("run", "exec", "x", "tool", "dlx") or word in _RUNNERS for word in others)
