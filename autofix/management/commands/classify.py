"""`manage.py classify`: name the cause of a failure from its log, without a database."""

from __future__ import annotations

import json
import os
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from django.core.management.base import BaseCommand, CommandError

from autofix.failures import FailureSignal, classify_failure

PIECE_BYTES = 256 * 1024


@dataclass(frozen=True)
class OpenLog:
    """A `LogReader` over an open binary file; read once."""

    source: BinaryIO

    def chunks(self) -> Iterator[bytes]:
        while piece := self.source.read(PIECE_BYTES):
            yield piece


class Command(BaseCommand):
    help = "Name the cause of a failed step from its log: a file, standard input, or many logs with --jsonl IN OUT."
    requires_system_checks: list[str] = []
    requires_migrations_checks = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", nargs="?", default="-", help="the log; - (the default) is standard input")
        parser.add_argument("--step", default="", metavar="NAME", help="name of the step that failed")
        parser.add_argument("--kind", metavar="K", help="kind of the step: install, lint, typecheck, test, …")
        parser.add_argument("--command", dest="step_command", metavar="C", help="the command the step ran")
        parser.add_argument("--exit-code", type=int, metavar="N")
        parser.add_argument("--json", action="store_true", help="the whole signal as one JSON object")
        parser.add_argument("--explain", action="store_true", help="also show the lines that speak for the type")
        parser.add_argument(
            "--jsonl", nargs=2, metavar=("IN", "OUT"),
            help='classify every line {"id", "step_name", "log"} of IN; OUT is written whole or not at all',
        )  # fmt: skip

    def handle(self, *args: Any, **options: Any) -> None:
        if options["jsonl"]:
            source, target = options["jsonl"]
            count = classify_lines(Path(source), Path(target))
            self.stdout.write(f"Classified {count} log(s) into {target}")
            return
        signal = self._classify_one(**options)
        if options["json"]:
            self.stdout.write(json.dumps(asdict(signal), ensure_ascii=False))
        else:
            self.stdout.write("\n".join(described(signal, explain=options["explain"])))

    def _classify_one(self, *, file: str, step: str, kind: str | None, step_command: str | None, exit_code: int | None,
                      **_: Any) -> FailureSignal:  # fmt: skip
        def classified(source: BinaryIO) -> FailureSignal:
            return classify_failure(step, OpenLog(source), exit_code=exit_code, step_kind=kind, command=step_command)

        if file == "-":
            return classified(sys.stdin.buffer)
        try:
            with Path(file).open("rb") as source:
                return classified(source)
        except OSError as error:
            raise CommandError(f"cannot read {file}: {error.strerror}") from error


def described(signal: FailureSignal, *, explain: bool) -> Iterator[str]:
    yield f"{signal.type} ({signal.confidence:.2f}): {signal.message}"
    if signal.others:
        yield f"also: {', '.join(signal.others)}"
    for name, value in sorted(signal.details.items()):
        yield f"  {name}: {json.dumps(value, ensure_ascii=False)}"
    if not explain:
        return
    needs = {"retry": signal.can_retry, "re-plan": signal.requires_replan, "approval": signal.requires_approval}
    yield f"  suggests: {', '.join(name for name, wanted in needs.items() if wanted) or 'nothing by itself'}"
    yield f"  fingerprint: {signal.fingerprint}"
    for line in signal.evidence:
        yield f"  {line.number:>7}  [{line.rule}]  {line.text}"


def classify_lines(source: Path, target: Path) -> int:
    """Classify each JSON line of `source` into `target`; on CommandError `target` is as it was."""
    written = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with source.open("rb") as lines:
            with written.open("x", encoding="utf-8") as out:
                count = 0
                for number, line in enumerate(lines, 1):
                    if line.strip():
                        out.write(json.dumps(_classified(line, f"{source}, line {number}"), ensure_ascii=False) + "\n")
                        count += 1
            written.replace(target)
    except OSError as error:
        raise CommandError(f"{error.filename or target}: {error.strerror}") from error
    finally:
        written.unlink(missing_ok=True)
    return count


def _classified(line: bytes, where: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except ValueError as error:
        raise CommandError(f"{where}: not valid JSON ({error})") from error
    if not isinstance(entry, dict):
        raise CommandError(f"{where}: a JSON object was expected")
    if missing := [name for name in ("id", "log") if name not in entry]:
        raise CommandError(f"{where}: {' and '.join(missing)} missing")
    if not isinstance(entry["log"], str):
        raise CommandError(f"{where}: log is not a string")
    signal = classify_failure(
        str(entry.get("step_name") or ""), entry["log"], exit_code=_optional_int(entry, "exit_code", where),
        step_kind=entry.get("step_kind"), command=entry.get("command"),
    )  # fmt: skip
    return {
        "id": entry["id"],
        "type": signal.type,
        "confidence": signal.confidence,
        "message": signal.message,
        "line": signal.evidence[0].number if signal.evidence else None,
    }


def _optional_int(entry: dict[str, Any], name: str, where: str) -> int | None:
    value = entry.get(name)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise CommandError(f"{where}: {name} is not a whole number")
    return value
