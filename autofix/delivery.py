"""Handing a healed run's fixes over, as its settings say."""

from __future__ import annotations

from django.conf import settings as django_settings

from autofix.session import RunSession
from metabuilder.builds.errors import MetabuilderError


def deliver(session: RunSession) -> str:
    """Return where the fixes can be had: "" for no fix or delivery "none". The source is touched by "push" alone."""
    workspace = session.workspace
    if workspace.head_commit == workspace.base_commit:
        return ""
    match session.settings.delivery:
        case "patch":
            path = django_settings.METABUILDER_DATA_DIR / "deliveries" / f"{session.run.pk}.patch"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(workspace.patch())
            return str(path)
        case "branch":
            return f"{workspace.places.git_dir} {workspace.branch}"
        case "push":
            try:
                return f"{workspace.source} {workspace.deliver_branch(workspace.branch)}"
            except MetabuilderError as error:  # the run is healed all the same; its branch can still be fetched
                return f"{workspace.places.git_dir} {workspace.branch} (not pushed: {error})"
    return ""
