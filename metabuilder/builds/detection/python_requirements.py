"""What a Python project declares that it needs, as arguments of `uv pip install`. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from metabuilder.builds.detection import Files, ini_of, table, text_of, texts, toml_of

# The words by which projects call what their checks need.
_WANTED = re.compile(
    r"(?:dev|develop|development|tests?|testing|lint|linting|typing|types|typecheck|mypy|qa|ci|check)",
    re.IGNORECASE,
)
_ROOT_FILES = re.compile(
    rf"(?:requirements[-_.]?)?(?:{_WANTED.pattern}[-_.])?requirements\.txt|requirements[-_.]{_WANTED.pattern}\.txt"
)
_NAME = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")


@dataclass
class Declared:
    """`arguments` go to the installer, `names` are the distributions they name, `sources` say where that stands."""

    arguments: list[str] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    sources: list[str] = field(default_factory=list)

    def add(self, source: str, arguments: Iterable[str], requirements: Iterable[str]) -> None:
        new = [argument for argument in arguments if argument]
        if new:
            self.arguments += new
            self.sources.append(source)
            self.names |= {name_of(requirement) for requirement in requirements}


def name_of(requirement: str) -> str:
    match = _NAME.match(requirement)
    return re.sub(r"[-_.]+", "-", match[1]).lower() if match else ""


def declared(files: Files) -> Declared:
    found = Declared()
    _from_pyproject(files, found)
    if "setup.py" in files or "setup.cfg" in files:
        _from_setup(files, found)
    _from_requirement_files(files, found)
    _from_tox(files, found)
    _from_pipfile(files, found)
    return found


def _from_pyproject(files: Files, found: Declared) -> None:
    data = toml_of(files, "pyproject.toml")
    project, poetry = table(data, "project"), table(data, "tool", "poetry")
    extras = {name: texts(value) for name, value in table(project, "optional-dependencies").items()}
    extras = {name: value for name, value in extras.items() if _WANTED.fullmatch(name)}
    needed = [*texts(project.get("dependencies")), *(line for value in extras.values() for line in value)]
    is_package = bool(table(data, "build-system")) and table(data, "tool", "uv").get("package") is not False
    is_package = is_package and poetry.get("package-mode") is not False
    if is_package and (project or poetry):
        suffix = f"[{','.join(extras)}]" if extras else ""
        found.add("the project itself (pyproject.toml)", ["-e", f".{suffix}"], needed)
    elif project:
        options = [argument for name in extras for argument in ("--extra", name)]
        found.add("dependencies in pyproject.toml", ["-r", "pyproject.toml", *options] if needed else [], needed)
    elif poetry:
        lines = _poetry_lines(table(poetry, "dependencies"))
        found.add("[tool.poetry.dependencies]", lines, lines)
    for name, group in table(data, "dependency-groups").items():
        if _WANTED.fullmatch(name):
            found.add(f"dependency group {name}", ["--group", name], texts(group))
    groups = {name: table(group, "dependencies") for name, group in table(poetry, "group").items()}
    groups["dev"] = {**groups.get("dev", {}), **table(poetry, "dev-dependencies")}
    for name, group in groups.items():
        if _WANTED.fullmatch(name):
            lines = _poetry_lines(group)
            found.add(f"poetry group {name}", lines, lines)


def _poetry_lines(dependencies: Mapping[str, object]) -> list[str]:
    """Poetry's table as requirements; what comes from git or a path is left to the project's own tools."""
    lines = []
    for name, spec in dependencies.items():
        version = spec.get("version") if isinstance(spec, Mapping) else spec
        if name != "python" and isinstance(version, str):
            lines.append(f"{name}{_poetry_version(version)}")
    return lines


def _poetry_version(version: str) -> str:
    """`^1.2` as `>=1.2,<2`, `~1.2` as `>=1.2,<1.3`, `*` as nothing, a bare version as `==`."""
    if version.strip() in {"*", ""}:
        return ""
    parts = []
    for part in version.split(","):
        caret = re.fullmatch(r"\s*([\^~])\s*(\d+(?:\.\d+)*)\s*", part)
        if not caret:
            bare = part.strip()
            parts.append(f"=={bare}" if bare[:1].isdigit() else bare)
            continue
        numbers = [int(number) for number in caret[2].split(".")]
        significant = next((i for i, number in enumerate(numbers) if number), len(numbers) - 1)
        index = significant if caret[1] == "^" else min(1, len(numbers) - 1)
        upper = [*numbers[:index], numbers[index] + 1]
        parts.append(f">={caret[2]},<{'.'.join(map(str, upper))}")
    return ",".join(parts)


def _from_setup(files: Files, found: Declared) -> None:
    config = ini_of(files, "setup.cfg")
    if found.arguments[:1] == ["-e"] or ("setup.py" not in files and not config.has_section("metadata")):
        return
    extras = config.options("options.extras_require") if config.has_section("options.extras_require") else []
    script = text_of(files, "setup.py")
    extras += re.findall(rf"['\"]({_WANTED.pattern})['\"]\s*:\s*\[", script, re.IGNORECASE)
    wanted = list(dict.fromkeys(extra for extra in extras if _WANTED.fullmatch(extra)))
    needed = [line for section in ("options", "options.extras_require") if config.has_section(section)
              for value in config[section].values() for line in value.splitlines()]  # fmt: skip
    needed += re.findall(r"['\"]([A-Za-z][\w.-]+)(?:[<>=!~\[][^'\"]*)?['\"]", script)
    suffix = f"[{','.join(wanted)}]" if wanted else ""
    found.add("the project itself (setup.py or setup.cfg)", ["-e", f".{suffix}"], needed)


def _from_requirement_files(files: Files, found: Declared) -> None:
    for path in sorted(files):
        folder, _, name = path.rpartition("/")
        in_folder = folder == "requirements" and name.endswith(".txt")
        stem = name.removesuffix(".txt")
        if (not folder and _ROOT_FILES.fullmatch(name)) or (
            in_folder and (stem in {"base", "main"} or _WANTED.fullmatch(stem))
        ):
            lines = [line.partition("#")[0] for line in text_of(files, path).splitlines()]
            found.add(path, ["-r", path], lines)


def _from_tox(files: Files, found: Declared) -> None:
    """What the default tox environment installs, where nothing else is declared for the tests."""
    config = ini_of(files, "tox.ini")
    if not config.has_option("testenv", "deps"):
        return
    arguments: list[str] = []
    for line in config.get("testenv", "deps").splitlines():
        plain = line.strip()
        if re.match(r"[\w,{}!-]+:\s", plain):  # only for some environments, such as `py311: `
            continue
        if plain and "{" not in plain and not plain.startswith("#") and name_of(plain) not in found.names:
            arguments += plain.split() if plain.startswith("-") else [plain]
    if arguments and not {"-r"} & set(arguments) & set(found.arguments):
        found.add("[testenv] deps in tox.ini", arguments, arguments)


def _from_pipfile(files: Files, found: Declared) -> None:
    data = toml_of(files, "Pipfile")
    for key in ("packages", "dev-packages"):
        lines = _poetry_lines(table(data, key))
        found.add(f"[{key}] in Pipfile", lines, lines)
