"""Finding the plan of a local repository: the file named, the one it has, or one derived from what it has."""

from __future__ import annotations

from pathlib import Path

from metabuilder.builds.errors import MetabuilderError
from metabuilder.builds.plan_detection import derive_plan
from metabuilder.builds.plans import Plan, load_plan
from metabuilder.builds.repository_view import repository_at

PLAN_FILES = ("metabuilder.yaml", "metabuilder.yml", "metabuilder.json")


class PlanFileUnreadable(MetabuilderError):
    code, http_status = "plan_file_unreadable", 400


def plan_for(repository: Path | None, file: str | None) -> tuple[Plan, list[str]]:
    """Return the plan and, line by line, where it comes from. Raises PlanFileUnreadable, InvalidPlan, NoPlanFound."""
    path = Path(file) if file else _own_plan(repository)
    if path is None:
        if repository is None:
            raise PlanFileUnreadable("a plan is needed for a URL: name one with --plan")
        derived = derive_plan(repository_at(repository))
        return derived.plan, ["derived from the repository:", *derived.reasons]
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise PlanFileUnreadable(f"{path}: {error}") from error
    return load_plan(text, name=path.name), [f"from {path}"]


def _own_plan(repository: Path | None) -> Path | None:
    if repository is None:
        return None
    return next((repository / name for name in PLAN_FILES if (repository / name).is_file()), None)
