"""The files of one run: where steps run, what fixes changed, and the way back.

Two repositories: the workspace's own `.git`, an ordinary clone that steps may use and break, and the
checkpoint repository outside of it, the only one that the engine's git works with. There
`refs/heads/metabuilder/run-<id>` holds the fix commits, `refs/metabuilder/checkpoints/<id>/<n>` states to go
back to.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from metabuilder.builds import candidates, sources, workspace_setup
from metabuilder.builds.candidates import CandidateDiff, FrozenCandidate, TrialMark
from metabuilder.builds.environments import restore_left_aside
from metabuilder.builds.errors import LeaseLost
from metabuilder.builds.git import Repository
from metabuilder.builds.safe_paths import remove_tree
from metabuilder.builds.sources import PROTECTED_BRANCHES, Source
from metabuilder.builds.workspace_errors import (
    CandidateDoesNotApply,
    NotAFix,
    NothingToCommit,
    NothingToDeliver,
    RefNotFound,
    WorkspaceMissing,
)
from metabuilder.builds.workspace_setup import Places, read_json, write_json
from metabuilder.builds.worktrees import WorkTree

__all__ = ["CandidateDiff", "FrozenCandidate", "TrialMark", "Workspace", "WorkspaceMissing"]


@dataclass(frozen=True, slots=True)
class _Checkpoint:
    number: int
    commit: str
    tree: str


class Workspace:
    """Only the holder of the run's lease works with it. Every operation may be cut short and repeated."""

    def __init__(self, places: Places) -> None:
        """Use `create`, `open` or `rebuild`."""
        facts = workspace_setup.read_facts(places)
        self.places, self.run_id, self.source = places, places.run_id, facts.source
        self.root, self.home, self.tmp = places.tree(facts.name), places.home, places.tmp
        self.base_commit, self.branch = facts.base_commit, places.branch
        self._repo = Repository(places.git_dir, self.root)
        self.files = WorkTree(self._repo, frozenset(facts.submodules))
        self._last = _newest_checkpoint(self._repo, places, self.base_commit)

    @classmethod
    def create(
        cls,
        *,
        data_dir: Path,
        run_id: str,
        source: str,
        ref: str | None = None,
        include_worktree: bool = False,
        allow_local: bool | None = None,
    ) -> Workspace:
        """Copy `source` at `ref` (None: its HEAD) into a workspace; one that exists is opened or rebuilt.

        `allow_local` is explained at `Source.parse`.
        """
        places = Places(data_dir.resolve(), run_id)
        if places.facts_file.exists():
            return cls.rebuild(data_dir=data_dir, run_id=run_id)
        if not places.are_complete():
            parsed = Source.parse(source, allow_local=allow_local)
            workspace_setup.create(places, parsed, ref, include_worktree=include_worktree)
        return cls.open(data_dir=data_dir, run_id=run_id)

    @classmethod
    def open(cls, *, data_dir: Path, run_id: str) -> Workspace:
        """For the lease's holder: take up a workspace as it was left, with environments put back."""
        places = Places(data_dir.resolve(), run_id)
        if not places.are_complete():
            raise WorkspaceMissing(run_id)
        places.clear_left_overs()
        workspace = cls(places)
        restore_left_aside(workspace.root, places.aside)
        return workspace

    @classmethod
    def rebuild(cls, *, data_dir: Path, run_id: str) -> Workspace:
        """Make a lost working tree anew from the checkpoint repository, at `checkpoint`, no ignored files."""
        places = Places(data_dir.resolve(), run_id)
        if not places.facts_file.exists():
            raise WorkspaceMissing(run_id)
        if not places.are_complete():
            places.clear_left_overs()
            facts = workspace_setup.read_facts(places)
            repo = Repository(places.git_dir, places.git_dir)
            workspace_setup.populate(places, facts, _newest_checkpoint(repo, places, facts.base_commit).commit)
        return cls.open(data_dir=data_dir, run_id=run_id)

    @classmethod
    def inspect(cls, *, data_dir: Path, run_id: str) -> Workspace:
        """Open a workspace to read paths, commits and the patch, also while somebody else works with it."""
        places = Places(data_dir.resolve(), run_id)
        if not places.are_complete():
            raise WorkspaceMissing(run_id)
        return cls(places)

    def recover(self) -> None:
        """Undo what a killed process had begun: its trial, or whatever came after the newest checkpoint.

        Without a trial, ignored files stay. Call it before work continues on a workspace that was in use.
        """
        trial = read_json(self.places.trial_file)
        if trial is not None:
            self.reset_trial(TrialMark.from_dict(trial))
        self.files.restore(self._last.tree)

    # Commits and checkpoints

    @property
    def head_commit(self) -> str:
        """The tip of the run's branch; the base commit while there is no fix."""
        return self._repo.resolve(f"refs/heads/{self.branch}") or self.base_commit

    @property
    def checkpoint(self) -> str:
        """The newest state worth going back to: the base, or the last step snapshot, fix or reset."""
        return self._last.commit

    @property
    def committed_at(self) -> datetime:
        """When the commit that is built was made, as it says itself."""
        return datetime.fromisoformat(self._repo.line("show", "-s", "--format=%cI", self.base_commit))

    def fixes(self) -> list[str]:
        """The fix commits, oldest first."""
        return self._repo.lines("rev-list", "--reverse", f"{self.base_commit}..{self.head_commit}")

    def earlier_fixes_ref(self) -> str | None:
        """The ref that keeps the proven fixes which `reset_to` took off the branch."""
        return self.places.kept_ref if self._repo.resolve(self.places.kept_ref) else None

    def changed_since_snapshot(self) -> bool:
        """Whether `snapshot` would record anything."""
        self.files.settle()
        return not self.files.is_at(self._last.tree)

    def undo_edits(self) -> None:
        """Make every recorded file as in the newest checkpoint; what appeared beside them since stays."""
        self.files.settle()
        self.files.sync()
        tree = self._last.tree
        self.files.switch(tree, spare=self.files.differing_from(tree))

    def snapshot(self, label: str = "") -> str | None:
        """Record the non-ignored files as the next checkpoint; None where nothing changed since the last."""
        tree = self.files.sync()
        if tree == self._last.tree:
            return None
        self._record(tree, label or "step")
        return self._last.commit

    # Trials

    def begin_trial(self) -> TrialMark:
        self.files.settle()
        tree = self.files.sync()
        mark = TrialMark(tree, self.files.beside(tree))
        write_json(self.places.trial_file, mark.as_dict())
        return mark

    def candidate_diff(self, mark: TrialMark) -> CandidateDiff:
        """What changed since the mark. Call it before the proof runs."""
        frozen, _ = candidates.freeze(self.files, mark)
        return candidates.describe(self._repo, frozen)

    def frozen_diff(self, frozen: FrozenCandidate) -> CandidateDiff:
        """What `candidate_diff` said, or would have said, when the candidate was frozen."""
        return candidates.describe(self._repo, frozen)

    def freeze_candidate(self, mark: TrialMark) -> FrozenCandidate:
        """Keep the candidate's content, and learn what it left beside it, before the proof adds to both."""
        frozen, mark.made = candidates.freeze(self.files, mark)
        write_json(self.places.trial_file, mark.as_dict())
        return frozen

    def note_made(self, mark: TrialMark) -> None:
        """Count what lies beside the tree now as made by the frozen candidate: `reset_trial` then removes it."""
        if mark.made is None:
            return  # all that appeared since the mark goes
        mark.made = frozenset(self.files.beside(self.files.sync())) - frozenset(mark.beside)
        write_json(self.places.trial_file, mark.as_dict())

    def apply_frozen(self, frozen: FrozenCandidate) -> None:
        """Put a candidate's changes on the current files, merged where those have moved on.

        It is then another candidate: freeze it again before it is proven and committed.
        Raises CandidateDoesNotApply, with nothing changed, where they cannot be merged.
        """
        tree = self.files.sync()
        self.files.switch(self.files.overlay(tree, self.files.transplant(tree, frozen.changes)))

    def commit_fix(self, frozen: FrozenCandidate, message: str) -> str:
        """Commit exactly the candidate's paths to the branch, as it left them. The files are not touched.

        Products of steps that the project does not track are left out even where the candidate changed them.
        """
        head = self.head_commit
        tree = self._with_fix(head, frozen)
        if tree == self._tree_of(head):
            if head != self.base_commit and self._message_of(head) == message.strip():
                return head  # committed by a call that was cut short
            raise NothingToCommit("the candidate changes no file of the project")
        commit = self._commit(tree, message, head)
        self._record(self.files.overlay(self._last.tree, frozen.changes), f"fix {commit}", {self.branch_ref: commit})
        self.places.trial_file.unlink(missing_ok=True)
        return commit

    def changes_project(self, frozen: FrozenCandidate) -> bool:
        """Whether there is anything to commit: products of earlier steps are not the project's."""
        head = self.head_commit
        return self._with_fix(head, frozen) != self._tree_of(head)

    def _with_fix(self, head: str, frozen: FrozenCandidate) -> str:
        tracked = self.files.files(head)
        own = [c for c in frozen.changes if c.path in tracked or (c.old_oid is None and c.new_oid is not None)]
        return self.files.overlay(head, own)

    def reset_trial(self, mark: TrialMark) -> None:
        """Make the non-ignored files as at the mark, and remove the ignored files that the candidate made.

        These are known from `freeze_candidate`; without it, all that appeared since the mark.
        """
        self.files.restore(mark.tree, mark.beside, mark.made)
        self.places.trial_file.unlink(missing_ok=True)

    def keep_trial(self) -> None:
        """The candidate stays as it is: `recover` no longer undoes it."""
        self.places.trial_file.unlink(missing_ok=True)

    # Going back

    def return_to(self, head: str) -> None:
        """Make `head` the tip of the branch again, and the files with it; products of steps stay.

        For a takeover: what is on record counts, not what a killed process did to the branch after it.
        """
        change = self.files.diff(self.head_commit, head)
        try:
            tree = self.files.overlay(self._last.tree, self.files.transplant(self._last.tree, change))
        except CandidateDoesNotApply:
            tree = self._tree_of(head)
        self._record(tree, f"return to {head}", {self.branch_ref: head})
        self.files.restore(tree)

    def reset_to(self, commit: str) -> None:
        """Make the non-ignored files as in `commit`. Ignored files stay.

        On the way back to a commit of the branch, the branch goes back with it and its fixes stay as
        `earlier_fixes_ref`.
        """
        target = self._repo.resolve(commit)
        if target is None:
            raise RefNotFound(str(self.places.git_dir), commit)
        head = self.head_commit
        refs = {}
        if target in (self.base_commit, *self.fixes()) and target != head:
            refs = {self.places.kept_ref: head, self.branch_ref: target}
        self._record(self._tree_of(target), f"reset to {target}", refs)
        self.places.trial_file.unlink(missing_ok=True)
        self.files.restore(self._last.tree)

    def revert_fix(self, sha: str) -> str:
        """Undo one fix on the branch and in the files; returns the new head.

        Raises CandidateDoesNotApply, with nothing changed, where the same lines have changed since.
        """
        if sha not in self.fixes():
            raise NotAFix(sha, self.branch)
        head, undo = self.head_commit, [change.reversed() for change in self.files.diff(f"{sha}^", sha)]
        here = self.files.sync()
        wanted = self.files.overlay(here, self.files.transplant(here, undo))
        if sha == head:
            commit = self._repo.line("rev-parse", f"{sha}^")
        else:
            tree = self.files.overlay(head, self.files.transplant(head, undo))
            commit = self._commit(tree, f"Revert {sha}", head)
        try:
            checkpoint = self.files.overlay(self._last.tree, self.files.transplant(self._last.tree, undo))
        except CandidateDoesNotApply:
            checkpoint = wanted
        self._record(checkpoint, f"revert {sha}", {self.branch_ref: commit})
        self.files.switch(wanted)
        return commit

    @contextmanager
    def without_fixes(self) -> Iterator[None]:
        """Have the files without any fix, products of steps kept, and afterwards exactly as they were.

        Raises CandidateDoesNotApply, with nothing changed, where steps changed the same lines as a fix.
        """
        mark = self.begin_trial()
        undo = self.files.diff(self.head_commit, self.base_commit)
        try:
            self.files.switch(self.files.overlay(mark.tree, self.files.transplant(mark.tree, undo)))
            yield
        except LeaseLost:
            raise  # the files are another holder's now
        except BaseException:
            self.reset_trial(mark)
            raise
        self.reset_trial(mark)

    # Delivery

    def deliver_branch(self, target: str, *, protected: Sequence[str] = PROTECTED_BRANCHES) -> str:
        """Add the fixes to the source as the branch `target` and return it. `protected`: glob patterns.

        Nothing else of the source changes, and nothing at all on BranchProtected, BranchHasOtherCommits or
        DeliveryRefused. Delivering again moves the branch on.
        """
        head = self.head_commit
        if head == self.base_commit:
            raise NothingToDeliver("there is no fix to deliver")
        source = Source.parse(self.source, allow_local=True)
        return sources.deliver(
            source, self.places.git_dir, base=self.base_commit, head=head, target=target, protected=protected
        )

    def patch(self) -> bytes:
        """The fixes as `git am` takes them; empty while there is none."""
        options = ("--stdout", "--binary", "--full-index", "--no-signature", "--no-renames", "--no-ext-diff")
        return self._repo("format-patch", *options, f"{self.base_commit}..{self.head_commit}").stdout

    @staticmethod
    def worktree_warning(source: str) -> list[str]:
        """Uncommitted paths of a local source, which a run of its HEAD does not see."""
        return sources.uncommitted_paths(Source.parse(source, allow_local=True))

    def remove(self) -> None:
        """Delete the working tree and the checkpoints."""
        remove_tree(self.places.directory)
        remove_tree(self.places.git_dir)

    # Details

    @property
    def branch_ref(self) -> str:
        return f"refs/heads/{self.branch}"

    def _commit(self, tree: str, message: str, parent: str) -> str:
        text = message.strip().encode(errors="replace") + b"\n"
        return self._repo.line("commit-tree", tree, "-p", parent, "-F", "-", stdin=text)

    def _record(self, tree: str, label: str, refs: dict[str, str] | None = None) -> None:
        """Add a checkpoint and move `refs`, all or nothing."""
        number = self._last.number + 1
        commit = self._commit(tree, label, self._last.commit)
        moves = {**(refs or {}), f"{self.places.checkpoint_refs}{number}": commit}
        lines = "".join(f"update {ref} {oid}\n" for ref, oid in moves.items())
        self._repo("update-ref", "--stdin", stdin=f"start\n{lines}commit\n".encode())
        self._last = _Checkpoint(number, commit, tree)

    def _tree_of(self, commit: str) -> str:
        return self._repo.line("rev-parse", f"{commit}^{{tree}}")

    def _message_of(self, commit: str) -> str:
        return self._repo.line("log", "-1", "--format=%B", commit)


def _newest_checkpoint(repo: Repository, places: Places, base: str) -> _Checkpoint:
    rows = repo.lines("for-each-ref", "--format=%(refname) %(objectname) %(tree)", places.checkpoint_refs)
    found = [_Checkpoint(0, base, repo.line("rev-parse", f"{base}^{{tree}}"))]
    for row in rows:
        ref, commit, tree = row.split(" ")
        found.append(_Checkpoint(int(ref.rpartition("/")[2]), commit, tree))
    return max(found, key=lambda checkpoint: checkpoint.number)
