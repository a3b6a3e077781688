"""Credentials out of text, before it is stored or shown. Pure; linear in the length of the text (RE2).

One pass with an RE2 Set tells which rules match anywhere in a block; only those are then looked for one by
one. A secret itself becomes [redacted] and its name stays, so that a log still says what it was about.
Ordinary lines (hashes, uuids, test names, code, messages about tokens) stay as they are.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from urllib.parse import quote

import re2

REDACTED = b"[redacted]"
SHORTEST_SECRET = 4  # replacing every "1" or "on" would destroy the text and protect nothing
HELD = 64 << 10  # a line longer than this is redacted and released in pieces
OVERLAP = 4 << 10  # of which this much is looked at again with what follows
CONTEXT = 256  # the name before a secret is never longer
KEY_LINES = 400  # a private key is never longer

# What a token looks like wherever it stands. The whole match is the secret, or its only group.
SHAPES = (
    rb"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b",
    rb"\bgh[pousr]_[A-Za-z0-9]{36,255}",
    rb"\bgithub_pat_[A-Za-z0-9_]{22,255}",
    rb"\bgl(?:pat|dt|rt|cbt|ptt|ft|oas|soat|agent|imt|ffct)-[A-Za-z0-9_.-]{20,}",
    rb"\bxox[abeoprs]-[A-Za-z0-9-]{10,}",
    rb"\bxapp-[0-9]-[A-Za-z0-9-]{10,}",
    rb"hooks\.slack\.com/(?:services|workflows|triggers)/([A-Za-z0-9_/]{20,})",
    rb"\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,}",
    rb"\bwhsec_[A-Za-z0-9+/=]{16,}",
    rb"\bnpm_[A-Za-z0-9]{36}\b",
    rb"\bpypi-AgE[A-Za-z0-9_-]{40,}",
    rb"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?",
    rb"\bAIza[A-Za-z0-9_-]{35}",
    rb"\bya29\.[A-Za-z0-9_-]{20,}",
    rb"\bsk-(?:ant-|proj-|svcacct-|or-v1-)[A-Za-z0-9_-]{20,}",
    rb"\bsk-[A-Za-z0-9]{32,}",
    rb"\bhf_[A-Za-z0-9]{30,}",
    rb"\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}",
    rb"\bdo[opr]_v1_[a-f0-9]{64}",
    rb"\bdckr_pat_[A-Za-z0-9_-]{20,}",
    rb"\bhv[sbr]\.[A-Za-z0-9_-]{24,}",
    rb"\bglsa_[A-Za-z0-9_]{32,}",
    rb"\bcio[A-Za-z0-9]{32}\b",
    rb"(?i)\bauthorization\b[\\\"']*[ \t]*[:=][ \t]*[\\\"']*"
    rb"(?:basic|bearer|token|digest|negotiate|apikey|aws4-hmac-sha256)[ \t]+([^\s\"'\\][^\"'\\\r\n]*)",
    rb"(?i)\bauthorization\b[\\\"']*[ \t]*[:=][ \t]*[\\\"']*([A-Za-z0-9._~+/=-]{16,})",
    rb"(?i)\bbearer[ \t]+([A-Za-z0-9._~+/=-]{20,})",
    rb"(?i)(?:^|[\s<>\"'])(?:set-)?cookie[\\\"']*:[ \t]*[\\\"']*([^\s\"'\\=]+=[^\"'\r\n]{4,})",
    rb"(?i)[?&;](?:sig|signature|x-amz-signature|x-amz-credential|x-amz-security-token|x-goog-signature)="
    rb"([^\s&\"'<>]{8,})",
    rb"(?i)\bhttps?://([^\s/:@\"'<>`]{16,})@",  # a lone token before the @ of a URL
)
# scheme://user:password@host
USERINFO = rb"(?i)\b[a-z][a-z0-9+.-]*://([^\s/:@\"'<>`]*:[^\s/\"'<>`]+)@"
SECRET_WORD = rb"pass(?:word|wd|phrase)|secret|token|api[_-]?key|(?:access|secret|private|signing|auth)[_-]?key"
# name = value, where the name ends in a word that means a secret.
ASSIGNMENT = (
    rb"(?i)(\b(?:unexpected|invalid|illegal|expected|bad|unknown|missing|next|current)[ \t]+)?"
    rb"(" + SECRET_WORD + rb"|(?:encryption|account|master|deploy|storage|shared)[_-]?key"
    rb"|[_-]pwd|_auth|authtoken|credentials?|connection[_-]?string|secret[_-]?key[_-]?base)"
    rb"(\\?[\"'])?([ \t]*(?:=>|:=|[:=])[ \t]*)"
    rb"(?:\\?\"([^\"\\\r\n]+)|\\?'([^'\\\r\n]+)|([^\s\"',;&)}\]\\<>]+))"
)
PROSE, NAME, QUOTE, SIGN, DOUBLE, SINGLE, BARE = range(1, 8)  # its groups
# --name value, also as a list of arguments is printed.
OPTION = (
    rb"(?i)(?:^|[\s\"'])--?[a-z0-9-]{0,40}(?:" + SECRET_WORD + rb")"
    rb"(?:[ \t]+|[\"'],[ \t]*)[\"']?([^\s\"',-][^\s\"',]*)"
)
# Words of a language, of a report or of prose: not secrets.
PLAIN_WORDS = frozenset(
    b"""string str text bytes int integer number float bool boolean any object array list dict map none null
    nil true false undefined unset empty yes no on off optional required secretstr char varchar field passed
    failed error ok skipped xfail missing invalid expired found not is are was must should cannot expected
    default redacted hidden masked value type to or and with from for in the of option flag argument file name
    if when has set given""".split()
)
KEY_BEGIN = rb"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----"
KEY_END = rb"-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----"
KEY_LINE = rb"[A-Za-z0-9+/=]{40,}"
KEY_LAST_LINE = rb"^[\s\"'|>#*+-]*[A-Za-z0-9+/]{1,64}={0,2}[\s\"',]*$"
KEY_HEADER = rb"^[\s\"'|>#*+\\nr-]*$|^\s*(?:Proc-Type|DEK-Info|Version|Comment):"

_shapes = tuple(re2.compile(shape) for shape in SHAPES)
_userinfo, _assignment, _option = re2.compile(USERINFO), re2.compile(ASSIGNMENT), re2.compile(OPTION)
_rules = (*_shapes, _userinfo, _assignment, _option)
_key_begin, _key_end, _key_line = re2.compile(KEY_BEGIN), re2.compile(KEY_END), re2.compile(KEY_LINE)
_key_last_line, _key_header = re2.compile(KEY_LAST_LINE), re2.compile(KEY_HEADER)
_placeholder = re2.compile(rb"^(?:\$[{(A-Za-z_]|\{\{|\{[a-z_]*\}?$|<[A-Za-z _-]+>?$|%[s(]|[*x.-]+$|\[redacted)")
_code = re2.compile(
    rb"[(\[]|^(?:self|this|os|env|settings|config|process)\.|^[a-z_]+(?:\.[a-z_]+)+$|\.[a-z]{1,4}(?::\d+)*:?$"
)


def _detector() -> re2.Set:
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1  # bytes are matched as they are
    options.max_mem = 64 << 20
    found = re2.Set.SearchSet(options)
    for rule in _rules:
        found.Add(rule.pattern)
    found.Compile()
    return found


_detects = _detector()


def redact(text: str, *, secrets: Sequence[str] = ()) -> str:
    """Return `text` without credentials; `secrets` are values known to be secret, whatever they look like."""
    data = redact_bytes(text.encode("utf-8", "surrogatepass"), secrets=secrets)
    return data.decode("utf-8", "surrogatepass")


def redact_bytes(data: bytes, *, secrets: Sequence[str] = ()) -> bytes:
    redactor = Redactor(secrets)
    return redactor.feed(data) + redactor.finish()


class Redactor:
    """Redacts a stream. The result does not depend on where the chunks are cut.

    An incomplete line is held back, up to 64 KiB, since a secret may go on in the next chunk.
    """

    def __init__(self, secrets: Sequence[str] = ()) -> None:
        self._secrets = known_forms(secrets)
        self._overlap = max([OVERLAP, *(2 * len(secret) for secret in self._secrets)])
        self._held = b""
        self._key_lines_left = 0  # above 0 inside a private key
        self._key_seen = False  # a line of its body has been seen
        self._newline_owed = b""  # of the last line dropped, should the key turn out to have ended there
        self._in_long_secret = False  # the piece before ended inside a secret

    def feed(self, data: bytes) -> bytes:
        """Take more of the stream; return what is final now, redacted."""
        data = self._held + data
        cut = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
        released = self._redact_lines(data[:cut]) if cut else b""
        self._held = data[cut:]
        if len(self._held) > HELD + self._overlap:
            released += self._release_piece()
        return released

    def finish(self) -> bytes:
        """Return the redacted rest."""
        rest, self._held = self._held, b""
        return self._redact_lines(rest)

    def _release_piece(self) -> bytes:
        """Release a part of a very long line; neither a secret nor what gives it away crosses the cut."""
        cut = len(self._held) - self._overlap
        for start, end in self._spans(self._held):
            if start - CONTEXT < cut < end:
                cut = end
        piece, self._held = self._held[:cut], self._held[cut:]
        redacted = self._redact_lines(piece)
        self._in_long_secret |= not self._held  # a secret without end: what follows belongs to it
        return redacted

    def _redact_lines(self, data: bytes) -> bytes:
        if self._in_long_secret:
            end = next((at for at, byte in enumerate(data) if byte in b" \t\r\n\"',;&<>"), len(data))
            self._in_long_secret = end == len(data) > 0
            data = data[end:]
        data = splice(data, self._spans(data))
        if self._key_lines_left or b"PRIVATE KEY" in data:
            data = b"".join(self._without_keys(data))
        return data

    def _spans(self, data: bytes) -> list[tuple[int, int]]:
        """Return where the secrets stand, in order; spans may overlap."""
        spans = [span for secret in self._secrets for span in occurrences(data, secret)]
        for number in _detects.Match(data) or ():
            spans += matches(number, data)
        return sorted(spans)

    def _without_keys(self, data: bytes) -> Iterator[bytes]:
        at = 0
        while at < len(data):
            if not self._key_lines_left:
                begin = _key_begin.search(data, at)
                if not begin:
                    yield data[at:]
                    return
                yield data[at : begin.start()] + REDACTED
                at, self._key_lines_left, self._key_seen = begin.end(), KEY_LINES, False
                self._newline_owed = b""
            end_of_line = data.find(b"\n", at) + 1 or len(data)
            line = data[at:end_of_line]
            if end := _key_end.search(line):
                at, self._key_lines_left = at + end.end(), 0
            elif self._belongs_to_key(line):
                at, self._key_lines_left = end_of_line, self._key_lines_left - 1
                self._newline_owed = b"\n" if line.endswith(b"\n") else b""
            else:
                self._key_lines_left = 0
                yield self._newline_owed

    def _belongs_to_key(self, line: bytes) -> bool:
        if _key_line.search(line):
            self._key_seen = True
            return True
        return bool(_key_header.search(line) or (self._key_seen and _key_last_line.search(line)))


def known_forms(secrets: Sequence[str]) -> tuple[bytes, ...]:
    """Return what to look for, longest first: each value and its lines, also percent- or base64-encoded."""
    forms: set[bytes] = set()
    for secret in secrets:
        lines = [line for line in (secret, *secret.splitlines()) if len(line.strip()) >= SHORTEST_SECRET]
        for line in lines:
            raw = line.strip().encode("utf-8", "surrogatepass")
            forms |= {raw, quote(raw, safe="").encode(), base64.b64encode(raw)}
    return tuple(sorted((form for form in forms if b"\n" not in form), key=lambda form: (-len(form), form)))


def occurrences(data: bytes, secret: bytes) -> Iterator[tuple[int, int]]:
    at = data.find(secret)
    while at >= 0:
        yield at, at + len(secret)
        at = data.find(secret, at + len(secret))


def splice(data: bytes, spans: Sequence[tuple[int, int]]) -> bytes:
    """Replace the spans; overlapping and adjoining ones become one."""
    if not spans:
        return data
    parts: list[bytes] = []
    at = 0
    for start, end in spans:
        if start > at or not parts:
            parts += [data[at:start], REDACTED]
        at = max(at, end)
    return b"".join([*parts, data[at:]])


def matches(number: int, data: bytes) -> Iterator[tuple[int, int]]:
    rule = _rules[number]
    for match in rule.finditer(data):
        if rule is _assignment:
            kind = DOUBLE if match[DOUBLE] else SINGLE if match[SINGLE] else BARE
            if is_secret_assignment(match, kind, data):
                yield match.span(kind)
        elif rule is _option:
            if not is_plain(match[1]):
                yield match.span(1)
        elif rule is _userinfo:
            if not data.startswith(b"sha256:", match.end()):  # docker://image:tag@sha256:…
                yield match.span(1)
        else:
            yield match.span(rule.groups)


def is_plain(value: bytes) -> bool:
    """A word of prose, a placeholder or a mask."""
    return value.lower().strip(b".,;:!?") in PLAIN_WORDS or bool(_placeholder.search(value))


def is_secret_assignment(match: re2._Match[bytes], kind: int, data: bytes) -> bool:
    """Tell `token = 'x81…'` from `token: expected` and `token = get_token()`."""
    value, sign = match[kind], match[SIGN].strip(b" \t")
    if match[PROSE] or value.startswith((b"=", b">", b"~")) or is_plain(value):
        return False
    if kind != BARE:
        sentence = sign == b":" and value.count(b" ") >= 2
        return len(value) >= SHORTEST_SECRET and not sentence
    if _code.search(value) or (value.isdigit() and len(value) <= 8 and b"pass" not in match[NAME].lower()):
        return False
    if match[SIGN] == b"=" or match[QUOTE]:
        return match[NAME].lower() not in value.lower()  # Client(token=token)
    return is_random(value) or is_whole_setting(match, data)


def is_random(value: bytes) -> bool:
    return len(value) >= 8 and any(48 <= byte <= 57 for byte in value) and any(byte > 64 for byte in value)


def is_whole_setting(match: re2._Match[bytes], data: bytes) -> bool:
    """A line of YAML that holds a password and nothing else, as in `db_password: correcthorse`."""
    value = match[BARE]
    line_start = data.rfind(b"\n", 0, match.start()) + 1
    before = data[line_start : match.start()].lstrip(b" \t-")
    rest = data[match.end() : match.end() + 1]
    return (
        b"pass" in match[NAME].lower()
        and match[SIGN] == b": "
        and len(value) >= 6
        and not value.isupper()
        and rest in (b"", b"\n", b"\r")
        and before.replace(b"_", b"").replace(b"-", b"").isalnum() | (not before)
    )
