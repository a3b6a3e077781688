"""What a step's command sees: an allowed environment, never the service's own secrets or its Python."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import uv

from metabuilder.builds.masking import names_a_secret

_ALLOWED = """
    LANG LANGUAGE TZ
    http_proxy https_proxy ftp_proxy all_proxy no_proxy HTTP_PROXY HTTPS_PROXY FTP_PROXY ALL_PROXY NO_PROXY
    SSL_CERT_FILE SSL_CERT_DIR REQUESTS_CA_BUNDLE CURL_CA_BUNDLE NODE_EXTRA_CA_CERTS GIT_SSL_CAINFO PIP_CERT
    NIX_SSL_CERT_FILE AWS_CA_BUNDLE CARGO_HTTP_CAINFO
    UV_DEFAULT_INDEX UV_FIND_LINKS UV_OFFLINE UV_NATIVE_TLS UV_SYSTEM_CERTS UV_INSECURE_HOST UV_HTTP_TIMEOUT
    UV_PYTHON_INSTALL_DIR UV_PYTHON_INSTALL_MIRROR UV_PYTHON_DOWNLOADS
    GOPROXY GOSUMDB GONOSUMDB GONOPROXY GOPRIVATE GOINSECURE GOFLAGS GOTOOLCHAIN GOROOT GOVCS
    CARGO_NET_OFFLINE CARGO_HTTP_PROXY RUSTUP_HOME RUSTUP_DIST_SERVER RUSTUP_UPDATE_ROOT RUSTUP_TOOLCHAIN
    RUSTUP_AUTO_INSTALL PYENV_ROOT NVM_DIR VOLTA_HOME ASDF_DIR ASDF_DATA_DIR JAVA_HOME
    COREPACK_NPM_REGISTRY YARN_NPM_REGISTRY_SERVER YARN_REGISTRY
"""
ALLOWED = frozenset(_ALLOWED.split())
ALLOWED_PREFIXES = (
    "LC_",
    "PIP_",
    "UV_INDEX",
    "UV_EXTRA_INDEX_URL",
    "npm_config_",
    "NPM_CONFIG_",
    "CARGO_REGISTRIES_",
    "CARGO_REGISTRY_",
    "CARGO_SOURCE_",
)
# What describes the service's own surroundings, although a prefix above allows it. Compared in lower case.
_NEVER = """
    pip_target pip_prefix pip_user pip_require_virtualenv pip_cache_dir
    npm_config_cache npm_config_userconfig npm_config_globalconfig npm_config_prefix npm_config_local_prefix
"""
NEVER = frozenset(_NEVER.split())
NEVER_PREFIXES = (
    "METABUILDER_",
    "DJANGO_",
)  # not even by passthrough
# A URL with a user name or password in it, wherever it stands in the value (GOPROXY is a list of URLs).
USERINFO = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)[^/\s?#]*@")
# The user's registry configuration, copied without the credentials that may stand in it. Files that hold
# nothing else (.netrc, .pypirc, .docker, .ssh, .aws, cargo's credentials.toml) are not here.
CONFIGURATION = (".npmrc", ".yarnrc", ".pip/pip.conf", ".config/pip/pip.conf", ".config/uv/uv.toml")
# Tool managers whose shims stand on PATH and look below the home.
TOOLS = (".pyenv", ".nvm", ".volta", ".asdf", ".sdkman", ".tool-versions")
CREDENTIAL_LINE = re.compile(r"_auth|passw|username|token|secret|certfile|keyfile|^\s*key\s*=", re.IGNORECASE)


def step_environment(
    *,
    base: Mapping[str, str],
    step_env: Mapping[str, str],
    home: Path,
    tmp: Path,
    cache: Path,
    passthrough: Sequence[str] = (),
    tools_dir: Path | None = None,
) -> dict[str, str]:
    """Return the whole environment of a step.

    `base` is the service's environment, of which only what the allow-list names gets through, and never a
    credential; `passthrough` names what the plan or METABUILDER_STEP_ENV asks for in addition, credentials
    included. `home` and `tmp` belong to the run, `cache` to the tenant. `step_env` is the step's own and
    wins.
    """
    env = {name: without_userinfo(value) for name, value in base.items() if is_allowed(name)}
    asked_for = [name for name in passthrough if name in base and not name.startswith(NEVER_PREFIXES)]
    env |= {name: base[name] for name in asked_for}
    env["PATH"] = os.pathsep.join(search_path(base, tools_dir))
    env |= {"HOME": str(home), "TMPDIR": str(tmp), "UV_LINK_MODE": "copy"} | cache_variables(cache)
    # As other tools do, uv is to trust what the machine trusts: behind a company's proxy its own list is not enough.
    env.setdefault("UV_SYSTEM_CERTS", base.get("UV_SYSTEM_CERTS", "true"))
    if "RUSTUP_HOME" not in env and "HOME" in base:
        env["RUSTUP_HOME"] = str(Path(base["HOME"], ".rustup"))  # toolchains are the user's, only caches are ours
    return env | dict(step_env)


def is_allowed(name: str) -> bool:
    return (
        (name in ALLOWED or name.startswith(ALLOWED_PREFIXES))
        and name.lower() not in NEVER
        and not names_a_secret(name)
    )


def without_userinfo(value: str) -> str:
    return USERINFO.sub(r"\g<scheme>", value)


def cache_variables(cache: Path) -> dict[str, str]:
    """Caches are per tenant: what one tenant's build puts there reaches no other."""
    return {
        "XDG_CACHE_HOME": str(cache / "xdg"),
        "UV_CACHE_DIR": str(cache / "uv"),
        "PIP_CACHE_DIR": str(cache / "pip"),
        "npm_config_cache": str(cache / "npm"),
        "YARN_CACHE_FOLDER": str(cache / "yarn"),
        "GOCACHE": str(cache / "go-build"),
        "GOMODCACHE": str(cache / "go-mod"),
        "CARGO_HOME": str(cache / "cargo"),
        "PRE_COMMIT_HOME": str(cache / "pre-commit"),
    }


def search_path(base: Mapping[str, str], tools_dir: Path | None) -> list[str]:
    """PATH without the service's own virtual environment; what the engine offers comes last."""
    own = service_environments(base)
    found = [
        entry
        for entry in base.get("PATH", os.defpath).split(os.pathsep)
        if entry and not any(is_inside(entry, root) for root in own)
    ]
    return [*found, str(tools_dir)] if tools_dir else found


def service_environments(base: Mapping[str, str]) -> list[str]:
    """The virtual environments that the service itself runs in or was started from."""
    found = [base["VIRTUAL_ENV"]] if base.get("VIRTUAL_ENV") else []
    if sys.prefix != sys.base_prefix:
        found.append(sys.prefix)
    return found


def is_inside(entry: str, root: str) -> bool:
    """Compare as written and resolved, since either may be a symlink."""
    return any(Path(path(entry)).is_relative_to(path(root)) for path in (os.path.abspath, os.path.realpath))


def ensure_tools_dir(path: Path) -> Path:
    """Make `path` hold a link to the engine's own `uv` and nothing else of its virtual environment."""
    path.mkdir(parents=True, exist_ok=True)
    replace_link(path / "uv", Path(uv.find_uv_bin()))
    return path


def prepare_home(home: Path, user_home: Path) -> None:
    """Give a run a home of its own, with the user's registry configuration in it but no credentials."""
    home.mkdir(parents=True, exist_ok=True)
    for name in TOOLS:
        if (user_home / name).exists():
            replace_link(home / name, user_home / name)
    for name in CONFIGURATION:
        copy_without_credentials(user_home / name, home / name)


def prepare_cache(cache: Path, user_home: Path) -> None:
    """Create the tenant's caches. Cargo's registry configuration lives beside its cache."""
    (cache / "cargo").mkdir(parents=True, exist_ok=True)
    copy_without_credentials(user_home / ".cargo/config.toml", cache / "cargo/config.toml")


def replace_link(link: Path, target: Path) -> None:
    """Point `link` at `target`, also while other runs of the host do the same."""
    if link.is_symlink() and link.readlink() == target:
        return
    fresh = link.with_name(f".{link.name}.{os.getpid()}.{id(link):x}")
    fresh.symlink_to(target)
    fresh.replace(link)


def copy_without_credentials(source: Path, target: Path) -> None:
    """Copy a configuration file line by line. One that is missing or unreadable is left out."""
    try:
        lines = source.read_text(errors="replace").splitlines()
    except OSError:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    kept = (without_userinfo(line) for line in lines if not CREDENTIAL_LINE.search(line))
    target.write_text("".join(f"{line}\n" for line in kept))
