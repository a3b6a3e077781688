"""The page's fields: what was typed, what it means, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from metabuilder.builds.errors import MetabuilderError
from settings_flags.registry import SETTINGS, Kind, Level, Setting
from settings_flags.resolution import RUN_CEILING, PlatformSettings, check_tenant_changes
from settings_flags.services import SettingRow


@dataclass(slots=True)
class PageField:
    """One control. Its `text` is as typed, empty for "inherit"; `was` is what the page showed at first."""

    name: str  # of the control: the setting's, or run_ceiling.<setting's>
    setting: Setting
    text: str
    was: str
    error: str = ""

    @property
    def options(self) -> tuple[str, ...]:
        return ("true", "false") if self.setting.kind is Kind.FLAG else self.setting.choices

    @property
    def is_long(self) -> bool:
        return self.setting.kind is Kind.PATHS


@dataclass(slots=True)
class PageRow:
    row: SettingRow
    own: PageField
    for_runs: PageField | None  # the tenant's run_ceiling, where a run may have the setting at all
    fields: list[PageField] = field(init=False)

    def __post_init__(self) -> None:
        self.fields = [self.own, *([self.for_runs] if self.for_runs else [])]

    @property
    def value(self) -> str:
        return self.row.setting.show(self.row.value)

    @property
    def inherited(self) -> str:
        return self.row.setting.show(self.row.inherited)

    @property
    def ceiling(self) -> str:
        """The limit of what may be set, in words; empty where there is none worth a word."""
        setting = self.row.setting
        if setting.kind in (Kind.COUNT, Kind.NUMBER):
            return f"{setting.show(setting.minimum)} to {setting.show(self.row.ceiling)}"
        if setting.kind is Kind.PATHS:
            return f"always protected: {setting.show(self.row.ceiling)}" if self.row.ceiling else ""
        loosest = True if setting.kind is Kind.FLAG else setting.choices[-1]
        return "" if self.row.ceiling == loosest else f"at most {setting.show(self.row.ceiling)}"


class SettingsForm:
    """The settings of one tenant as a page; with `posted`, as somebody has just edited them."""

    def __init__(self, rows: Sequence[SettingRow], posted: Mapping[str, str] | None = None) -> None:
        self.rows = [_page_row(row, posted or {}) for row in rows]
        self.fields = {control.name: control for page_row in self.rows for control in page_row.fields}

    @property
    def errors(self) -> list[PageField]:
        return [control for control in self.fields.values() if control.error]

    def changes(self, platform: PlatformSettings) -> dict[str, Any]:
        """Return what was edited, for set_tenant_settings; wrong fields get their `error` instead.

        Only edited fields count, so that a page left open does not undo what others changed meanwhile.
        """
        changes: dict[str, Any] = {}
        run_ceiling = {
            page_row.row.setting.name: page_row.row.run_ceiling
            for page_row in self.rows
            if page_row.for_runs and page_row.row.run_ceiling is not None
        }
        ceiling_edited = False
        for control in self.fields.values():
            if control.text == control.was:
                continue
            try:
                value = control.setting.parse_text(control.text) if control.text else None
            except MetabuilderError as error:
                control.error = str(error)
                continue
            if control.name in SETTINGS:
                changes[control.name] = value
            else:
                ceiling_edited = True
                run_ceiling[control.setting.name] = value
        if ceiling_edited:
            changes[RUN_CEILING] = run_ceiling
        _, problems = check_tenant_changes(platform, changes)
        for name, problem in problems.items():
            self.fields[name].error = str(problem)
        return changes

    def forget(self, name: str) -> None:
        """Show a field as inherited, after it was reset."""
        self.fields[name].text = self.fields[name].was = ""


def _page_row(row: SettingRow, posted: Mapping[str, str]) -> PageRow:
    name = row.setting.name
    for_runs = None
    if Level.RUN in row.setting.levels:
        for_runs = _field(f"{RUN_CEILING}.{name}", row.setting, row.run_ceiling, posted)
    return PageRow(row, _field(name, row.setting, row.own, posted), for_runs)


def _field(name: str, setting: Setting, stored: Any, posted: Mapping[str, str]) -> PageField:
    was = posted.get(f"was.{name}", _text(setting, stored))
    text = posted.get(name, was)
    return PageField(name, setting, _lines(text), _lines(was))


def _text(setting: Setting, stored: Any) -> str:
    if stored is None:
        return ""
    shown = setting.show(stored)
    return shown.replace(", ", "\n") if setting.kind is Kind.PATHS else shown


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").strip()  # browsers send CRLF
