"""What a path is, by its name alone: a test, a checker's configuration, machinery that people own."""

from __future__ import annotations

import re
import sys
from fnmatch import fnmatchcase


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_TEST_FOLDERS = _words("test tests __tests__ spec specs e2e cypress testdata test-data fixtures")
_TEST_NAMES = re.compile(
    r"""test_.*\.pyi?|.*_tests?\.pyi?|tests?\.py|conftest\.py|.*[._-](?:test|spec|cy|e2e)\.[cm]?[jt]sx?
      |.*_test\.(?:go|rs|rb|exs|cc|cpp|dart)|.*_spec\.(?:rb|lua)|test_.*\.(?:rb|c|cc|cpp|sh|bats)|.*\.bats
      |.*Tests?\.(?:java|kt|cs|scala|swift|php|groovy|m|ts|tsx|js)|Test[A-Z].*\.(?:java|kt|cs|scala)
      |.*(?:IT|ITCase|Spec|TestCase)\.(?:java|kt|scala|groovy)|.*\.feature|tests?\.(?:rs|js|ts)""",
    re.VERBOSE,
)
_SNAPSHOT = re.compile(
    r"(^|/)(__snapshots__|snapshots|cassettes|__image_snapshots__|golden|goldens)/|\.(snap|ambr|golden|approved\.\w+|storyshot)$",
    re.IGNORECASE,
)

CODE_SUFFIXES = _words(
    ".py .pyi .js .jsx .mjs .cjs .ts .tsx .mts .cts .go .rs .java .kt .kts .scala .groovy .cs .rb "
    ".php .swift .c .cc .cpp .h .hpp .sh .bash .vue .svelte .dart .ex .exs .lua"
)
# Languages that the token comparison reads: C-like comments, quotes and separators.
C_LIKE_SUFFIXES = CODE_SUFFIXES - _words(".py .pyi .sh .bash .rb .ex .exs .lua")

# The configuration of whatever checks the project. Matched against the lower-case file name.
_CHECKER_CONFIG = re.compile(
    r"""\.?pytest\.(?:ini|toml)|tox\.(?:ini|toml)|\.?mypy\.ini|\.?ruff\.toml|\.flake8|\.?pylintrc(?:\.toml)?
      |\.coveragerc(?:\..*)?|\.isort\.cfg
      |\.style\.yapf|\.pycodestyle|\.pydocstyle.*|\.bandit|bandit\.ya?ml|pyrightconfig\.json|noxfile\.py|\.?pyre_configuration
      |\.pre-commit-config\.ya?ml|\.pre-commit-hooks\.ya?ml|\.importlinter|\.?nose2?\.cfg|unittest\.cfg|\.?ty\.toml
      |\.eslintrc.*|eslint\.config\..*|\.eslintignore|\.prettierrc.*|prettier\.config\..*|\.prettierignore
      |\.stylelint.*|stylelint\.config\..*|[tj]sconfig.*\.json|jest.*\.(?:[cm]?[jt]s|json)|jest\.setup\..*
      |vitest\..*|vite\.config\..*|karma\.conf\..*|\.mocharc.*|mocha\.opts|\.nycrc.*|nyc\.config\..*|\.c8rc.*|\.taprc|ava\.config\..*
      |cypress\.(?:config\..*|json)|playwright\.config\..*|biome\.jsonc?|\.?oxlintrc\.json|\.jshintrc|\.jshintignore|tslint\.json
      |\.xo-config.*|\.lintstagedrc.*|lint-staged\.config\..*|\.golangci\..*|staticcheck\.conf|\.?revive\.toml
      |\.rubocop.*|\.rspec|\.simplecov|\.reek\.yml|\.?clippy\.toml|\.?rustfmt\.toml|deny\.toml|audit\.toml|\.?tarpaulin\.toml|\.?nextest\.toml
      |checkstyle.*\.xml|pmd.*\.xml|(?:spot|find)bugs.*\.xml|detekt.*\.ya?ml|phpunit.*\.xml.*|phpstan.*|psalm.*|\.?phpcs.*
      |\.editorconfig|\.yamllint.*|\.markdownlint.*|\.hadolint\.ya?ml|\.shellcheckrc|\.ansible-lint.*|\.tflint\.hcl|\.sqlfluff.*
      |\.secrets\.baseline|\.?gitleaks.*|\.trivyignore.*|trivy\.ya?ml|\.snyk|\.semgrep.*|\.?nsprc|\.auditignore|\.bandit.*
      |osv-scanner\.toml|\.grype\.ya?ml|\.checkov\.ya?ml|\.?codecov\.ya?ml|\.coveralls\.yml|sonar-project\.properties
      |\.codespellrc|\.?cspell.*|\.?typos\.toml|\.vale\.ini|\.?commitlint.*|\.?gitlint|\.safety-policy\.yml|\.git(?:ignore|attributes|modules)
      |\.ignore|\.rgignore|\.dockerignore|\.npmrc|\.yarnrc.*|pip\.conf|\.pypirc|uv\.toml|\.python-version|\.nvmrc|codeclimate\.yml|\.codeclimate\.yml|manifest\.in""",
    re.VERBOSE,
)
_ALLOW_LIST = re.compile(
    r"(allow|permit|white|deny|block|black|exempt|exception|waive|suppress|ignore|baseline|known[-_]?(issues|failures))"
    r"[^/]*(?:\.(txt|json|ya?ml|toml|cfg|ini|csv|lst|list|xml|conf))?$",
    re.IGNORECASE,
)
_DATA_SUFFIXES = frozenset(
    ["", ".txt", ".json", ".yml", ".yaml", ".toml", ".cfg", ".ini", ".csv", ".lst", ".list", ".xml"]
)

# Machinery and promises that people own, wherever a project keeps them.
_PROTECTED = _words(
    ".github/* .gitlab-ci.y*ml .gitlab/* .circleci/* .buildkite/* .woodpecker* .drone.y*ml "
    ".travis.yml azure-pipelines*.y*ml bitbucket-pipelines.yml jenkinsfile* appveyor.yml "
    ".appveyor.yml cloudbuild.y*ml .azure/* .teamcity/* buildspec*.y*ml .ci/* ci/* */ci/* "
    "metabuilder.y*ml metabuilder.json codeowners */codeowners license license[.-]* licence "
    "licence[.-]* licen[cs]es/* copying* notice notice.* */license */license.* */licence "
    "security.md deploy/* */deploy/* deploy.* deployment/* k8s/* kubernetes/* helm/* charts/* "
    "terraform/* *.tf *.tfvars ansible/* procfile fly.toml app.yaml serverless.y*ml vercel.json "
    "netlify.toml docker-compose*.y*ml */docker-compose*.y*ml compose.y*ml kustomization.y*ml "
    ".husky/* .githooks/* githooks/* hooks/pre-* lefthook.y*ml .overcommit.yml .env .env.* */.env "
    "*.pem *.key renovate.json .mergify.yml"
)
_INSTALLED = _words("site-packages dist-packages node_modules bower_components .venv venv .tox .nox virtualenv .eggs")
_SHIMS = re.compile(r"(sitecustomize|usercustomize)\.py[ci]?|.*\.pth|.*\.egg-link|__editable__.*", re.IGNORECASE)
_LOCKS = _words(
    "uv.lock poetry.lock pdm.lock pipfile.lock package-lock.json npm-shrinkwrap.json yarn.lock "
    "pnpm-lock.yaml bun.lockb bun.lock cargo.lock go.sum gemfile.lock composer.lock conda-lock.yml"
)
_BUILD_SCRIPTS = re.compile(
    r"(gnu)?makefile|.*\.mk|justfile|taskfile\.ya?ml|rakefile|dockerfile.*|.*\.dockerfile|.*\.(sh|bash|zsh|ksh|bat|cmd|ps1)|"
    r"build\.gradle(\.kts)?|settings\.gradle(\.kts)?|pom\.xml|build\.xml|cmakelists\.txt|sconstruct|tasks\.py|dodo\.py|"
    r"fabfile\.py|gemfile|composer\.json|environment\.ya?ml|meson\.build|build\.sbt|build(\.bazel)?|workspace(\.bazel)?|gulpfile\..*|gruntfile\..*|"
    r"webpack\.config\..*|rollup\.config\..*|babel\.config\..*|\.babelrc.*|turbo\.json|nx\.json|lerna\.json|deno\.jsonc?|bunfig\.toml|build\.rs",
    re.IGNORECASE,
)
# A module of one of these names at an import root runs in place of the tool that checks the project.
_TOOL_MODULES = _words(
    "pytest _pytest pluggy unittest nose nose2 coverage pytest_cov ruff black isort mypy flake8 "
    "pylint pyflakes pycodestyle bandit django pip setuptools wheel uv tox nox hypothesis xdist "
    "pre_commit pyright numpy mock"
)


def is_test(path: str) -> bool:
    folders, _, name = path.rpartition("/")
    return bool(_TEST_NAMES.fullmatch(name)) or not _TEST_FOLDERS.isdisjoint(folders.lower().split("/"))


def is_test_infrastructure(path: str) -> bool:
    return path.rpartition("/")[2].lower() == "conftest.py"


def is_snapshot(path: str) -> bool:
    return bool(_SNAPSHOT.search(path))


def is_checker_config(path: str) -> bool:
    return bool(_CHECKER_CONFIG.fullmatch(path.rpartition("/")[2].lower())) or path.lower().startswith(".cargo/")


def is_allow_list(path: str) -> bool:
    name = path.rpartition("/")[2]
    suffix = "." + name.rpartition(".")[2].lower() if "." in name[1:] else ""
    return suffix in _DATA_SUFFIXES and bool(_ALLOW_LIST.search(name))


def is_protected(path: str, extra: tuple[str, ...] = ()) -> bool:
    lowered = path.lower()
    if any(fnmatchcase(lowered, pattern) for pattern in _PROTECTED):
        return True
    if re.match(r"licen[cs]es?(\W|$)", lowered.rpartition("/")[2]):
        return True
    # The caller's patterns: a glob, or a folder with all that is in it.
    return any(fnmatchcase(path, glob) or path.startswith(glob.rstrip("/*") + "/") for glob in extra if glob)


def is_installed(path: str) -> bool:
    lowered = path.lower()
    recorded = re.search(r"(^|/)env/(lib|bin|scripts)/|\.(dist|egg)-info/", lowered)
    return bool(recorded) or not _INSTALLED.isdisjoint(lowered.split("/"))


def is_shim(path: str) -> bool:
    return bool(_SHIMS.fullmatch(path.rpartition("/")[2]))


def is_lock(path: str) -> bool:
    return path.rpartition("/")[2].lower() in _LOCKS


def is_build_script(path: str) -> bool:
    return bool(_BUILD_SCRIPTS.fullmatch(path.rpartition("/")[2]))


def is_migration(path: str) -> bool:
    folders, _, name = path.rpartition("/")
    numbered = name.endswith((".py", ".sql")) and name != "__init__.py"
    return numbered and not {"migrations", "versions", "migrate"}.isdisjoint(folders.lower().split("/"))


def is_import_root_module(path: str) -> bool:
    """Whether a file, were it new, could be imported in place of a library, a tool or the standard library."""
    parts = path.split("/")
    if parts[0] in {"src", "lib"} and len(parts) > 1:
        parts = parts[1:]
    if len(parts) == 2 and parts[0] in {"tests", "test"}:  # pytest puts a test folder on the import path
        stem = parts[1].partition(".")[0]
        return stem in _TOOL_MODULES or stem in sys.stdlib_module_names
    is_package = len(parts) == 2 and parts[1].partition(".")[0] == "__init__"
    is_module = len(parts) == 1 and not is_test(path) and parts[0] not in {"setup.py", "manage.py"}
    return path.endswith((".py", ".so", ".pyd")) and (is_package or is_module)
