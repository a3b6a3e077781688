"""What builds make: environments and caches, never recorded whatever a project forgets to ignore."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

from metabuilder.builds.safe_paths import Parents

# Directories that package managers fill and that can be built anew.
ENVIRONMENTS = frozenset({".venv", "venv", "node_modules", ".tox", ".nox", "__pypackages__", ".bundle"})

# Files by which a directory says what it is: a Python environment; a cache (cargo's target/, pytest, ruff).
MARKERS = frozenset({"pyvenv.cfg", "CACHEDIR.TAG"})

# `build`, `dist`, `target` and `vendor` are not here: they are as often a project's own sources. Where they
# are neither tracked nor ignored they enter step snapshots, never a fix commit.
PRODUCTS = (
    *(f"{name}/" for name in sorted(ENVIRONMENTS)),
    "__pycache__/", "*.py[co]", "*.egg-info/", ".eggs/",
    ".pytest_cache/", ".mypy_cache/", ".ruff_cache/", ".hypothesis/", ".import_linter_cache/", ".cache/",
    ".coverage", ".coverage.*", "htmlcov/",
    ".eslintcache", "*.tsbuildinfo", ".npm/", ".gradle/", ".terraform/", ".DS_Store",
)  # fmt: skip


def is_product_directory(name: str, entries: Collection[str]) -> bool:
    """Whether a directory of that name and with those entries is an environment or a cache."""
    return name in ENVIRONMENTS or name == "__pycache__" or not MARKERS.isdisjoint(entries)


def is_environment(path: Path) -> bool:
    return path.name in ENVIRONMENTS or any((path / marker).is_file() for marker in MARKERS)


def drop_bytecode(root: Path, sources: Iterable[str]) -> None:
    """Delete what Python compiled from files that are about to be, or were, replaced.

    A .pyc is matched to its source by size and mtime in whole seconds; a reset is quicker than that.
    """
    parents = Parents(root)
    for path in sources:
        if path.endswith(".py") and parents.are_real(f"{path.rpartition('/')[0]}/__pycache__/x".lstrip("/")):
            source = root / path
            for compiled in (source.parent / "__pycache__").iterdir():
                if compiled.name.startswith(f"{source.stem}.") and compiled.suffix == ".pyc":
                    compiled.unlink(missing_ok=True)
