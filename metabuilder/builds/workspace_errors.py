"""What can go wrong between a source, its workspace and its branch, each naming what to do."""

from __future__ import annotations

from collections.abc import Sequence

from metabuilder.builds.errors import MetabuilderError


class GitFailed(MetabuilderError):
    """A git command of the engine failed in a way that no caller expected."""

    code, http_status = "git_failed", 500

    def __init__(self, command: str, exit_code: int, stderr: str) -> None:
        self.exit_code, self.stderr = exit_code, stderr
        super().__init__(f"git {command} ended with {exit_code}: {stderr.strip() or 'no message'}")


class SourceRefused(MetabuilderError):
    """The kind of source is not allowed here. Nothing was read."""

    code, http_status = "source_refused", 422


class SourceNotFound(MetabuilderError):
    code, http_status = "source_not_found", 404

    def __init__(self, source: str, reason: str = "") -> None:
        super().__init__(reason or f"there is nothing at {source}; give the path or URL of a git repository")


class NotARepository(MetabuilderError):
    code, http_status = "not_a_repository", 422


class EmptyRepository(MetabuilderError):
    code, http_status = "empty_repository", 422

    def __init__(self, source: str) -> None:
        super().__init__(f"{source} has no commit yet; commit something first")


class RefNotFound(MetabuilderError):
    code, http_status = "ref_not_found", 422

    def __init__(self, source: str, ref: str) -> None:
        super().__init__(f"{source} has no branch, tag or commit named {ref!r}")


class WorktreeUnavailable(MetabuilderError):
    """Uncommitted changes were asked for from a source that has no working tree here."""

    code, http_status = "worktree_unavailable", 422


class WorkspaceMissing(MetabuilderError):
    """The run has no working tree on this host; rebuild it from the checkpoint repository or start anew."""

    code, http_status = "workspace_missing", 410

    def __init__(self, run_id: str) -> None:
        super().__init__(f"run {run_id} has no workspace here")


class CandidateDoesNotApply(MetabuilderError):
    """The files have changed since the candidate was made. Nothing was changed; make the candidate again."""

    code, http_status = "candidate_does_not_apply", 409

    def __init__(self, paths: Sequence[str]) -> None:
        self.paths = tuple(paths)
        super().__init__(f"changed in the meantime: {', '.join(map(repr, self.paths))}")


class NothingToCommit(MetabuilderError):
    """The candidate changed no file of the project: at most products of earlier steps, or ignored files."""

    code, http_status = "nothing_to_commit", 422


class NotAFix(MetabuilderError):
    code, http_status = "not_a_fix", 404

    def __init__(self, sha: str, branch: str) -> None:
        super().__init__(f"{sha} is not a fix commit on {branch}")


class NothingToDeliver(MetabuilderError):
    code, http_status = "nothing_to_deliver", 409


class BranchProtected(MetabuilderError):
    """Delivery goes to a branch of its own, never to this one. Nothing was changed."""

    code, http_status = "branch_protected", 409

    def __init__(self, branch: str, reason: str) -> None:
        super().__init__(f"{branch} {reason}; choose another name for the delivered branch")


class BranchHasOtherCommits(MetabuilderError):
    """The branch exists and its tip is not a fix of this run. Nothing was changed."""

    code, http_status = "branch_has_other_commits", 409

    def __init__(self, branch: str, tip: str) -> None:
        super().__init__(f"{branch} already exists at {tip[:12]}, which this run did not make; choose another name")


class DeliveryRefused(MetabuilderError):
    """The source did not take the branch. Nothing was changed."""

    code, http_status = "delivery_refused", 502
