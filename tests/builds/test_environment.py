import os
import subprocess
import sys
from pathlib import Path

import pytest

from metabuilder.builds.environment import ensure_tools_dir, prepare_cache, prepare_home, step_environment

ALLOWED = """
    LANG LC_ALL TZ https_proxy NO_PROXY SSL_CERT_FILE
    REQUESTS_CA_BUNDLE NODE_EXTRA_CA_CERTS PIP_INDEX_URL UV_INDEX UV_DEFAULT_INDEX UV_FIND_LINKS
    npm_config_registry NPM_CONFIG_REGISTRY GOPROXY GOSUMDB GOFLAGS CARGO_REGISTRIES_MINE_INDEX
    PYENV_ROOT
"""


SECRET = """
    VIRTUAL_ENV PYTHONPATH PYTHONHOME UV_EXCLUDE_NEWER NODE_OPTIONS DJANGO_SETTINGS_MODULE
    SECRET_KEY METABUILDER_AUDIT_KEY METABUILDER_RUN_TOKEN DATABASE_URL AWS_SECRET_ACCESS_KEY GITHUB_TOKEN
    PGPASSWORD UV_INDEX_MINE_PASSWORD UV_INDEX_MINE_USERNAME npm_config__authToken npm_config__auth
    NPM_CONFIG_TOKEN
    CARGO_REGISTRY_TOKEN CARGO_REGISTRIES_MINE_TOKEN npm_config_userconfig PIP_TARGET LD_PRELOAD HOSTNAME
"""


def environment(base=None, tmp_path=Path("/run"), **options):
    options = {"step_env": {}, "home": tmp_path / "home", "tmp": tmp_path / "tmp", **options}
    return step_environment(base={"PATH": "/usr/bin:/bin", **(base or {})}, cache=tmp_path / "cache", **options)


@pytest.mark.parametrize(
    "name",
    ALLOWED.split(),
)
def test_step_environment__tool_and_registry_setting__gets_through(name):
    assert environment({name: "value"})[name] == "value"


@pytest.mark.parametrize(
    "name",
    SECRET.split(),
)
def test_step_environment__secret_or_the_services_own__stays_out(name):
    assert name not in environment({name: "value"})


def test_step_environment__url_with_a_password__loses_it():
    found = environment(
        {
            "PIP_INDEX_URL": "https://me:pw@pypi.example.org/simple",
            "GOPROXY": "https://token@go.example.org,https://proxy.golang.org,direct",
            "HTTPS_PROXY": "http://me:p%40w@proxy:3128",
        }
    )

    assert found["PIP_INDEX_URL"] == "https://pypi.example.org/simple"
    assert found["GOPROXY"] == "https://go.example.org,https://proxy.golang.org,direct"
    assert found["HTTPS_PROXY"] == "http://proxy:3128"


def test_step_environment__passthrough__names_credentials_but_never_the_services():
    base = {"NPM_TOKEN": "t", "METABUILDER_AUDIT_KEY": "k", "PIP_INDEX_URL": "https://me:pw@host/simple"}

    found = environment(base, passthrough=["NPM_TOKEN", "METABUILDER_AUDIT_KEY", "PIP_INDEX_URL", "ABSENT"])

    assert (found["NPM_TOKEN"], found["PIP_INDEX_URL"]) == ("t", "https://me:pw@host/simple")
    assert not {"METABUILDER_AUDIT_KEY", "ABSENT"} & found.keys()


def test_step_environment__step_env__wins():
    assert environment({"TZ": "Europe/Berlin"}, step_env={"TZ": "UTC", "MINE": "1"})["TZ"] == "UTC"


def test_step_environment__home_and_caches__belong_to_run_and_tenant(tmp_path):
    found = environment({"HOME": "/home/ci", "UV_CACHE_DIR": "/elsewhere"}, tmp_path)

    assert (found["HOME"], found["TMPDIR"]) == (str(tmp_path / "home"), str(tmp_path / "tmp"))
    assert found["UV_CACHE_DIR"] == str(tmp_path / "cache/uv")
    assert found["RUSTUP_HOME"] == "/home/ci/.rustup"
    assert found["UV_LINK_MODE"] == "copy"


def test_step_environment__path__has_no_virtual_environment_of_the_service(tmp_path):
    (tmp_path / "link").symlink_to(sys.prefix)
    entries = [f"{sys.prefix}/bin", f"{tmp_path}/link/bin", "/usr/bin", "/opt/started/bin", "/bin", ""]
    base = {"PATH": os.pathsep.join(entries), "VIRTUAL_ENV": "/opt/started"}

    found = environment(base, tools_dir=tmp_path / "tools")["PATH"].split(os.pathsep)

    expected = ["/usr/bin", "/bin", str(tmp_path / "tools")]
    assert found == (expected if sys.prefix != sys.base_prefix else [*entries[:2], *expected])


def test_ensure_tools_dir__twice__offers_uv_and_nothing_else(tmp_path):
    ensure_tools_dir(tmp_path / "tools")
    tools = ensure_tools_dir(tmp_path / "tools")

    assert [path.name for path in tools.iterdir()] == ["uv"]
    shown = subprocess.run(["uv", "--version"], env={"PATH": str(tools)}, capture_output=True, text=True, check=True)
    assert shown.stdout.startswith("uv ")


def test_prepare_home__users_configuration__comes_along_without_credentials(tmp_path):
    user, home = tmp_path / "user", tmp_path / "home"
    (user / ".config/pip").mkdir(parents=True)
    (user / ".pyenv").mkdir()
    (user / ".npmrc").write_text("registry=https://npm.example.org/\n//npm.example.org/:_authToken=t0ken\n")
    (user / ".config/pip/pip.conf").write_text("[global]\nindex-url = https://me:pw@pypi.example.org/simple\n")
    (user / ".netrc").write_text("machine pypi.example.org password pw\n")

    prepare_home(home, user)
    prepare_home(home, user)

    assert (home / ".npmrc").read_text() == "registry=https://npm.example.org/\n"
    assert (home / ".config/pip/pip.conf").read_text() == "[global]\nindex-url = https://pypi.example.org/simple\n"
    assert (home / ".pyenv").readlink() == user / ".pyenv"
    assert not (home / ".netrc").exists()


def test_prepare_cache__cargo_configuration__comes_along_without_the_token(tmp_path):
    (tmp_path / "user/.cargo").mkdir(parents=True)
    (tmp_path / "user/.cargo/config.toml").write_text('[registries.a]\nindex = "https://a/"\ntoken = "t0ken"\n')

    prepare_cache(tmp_path / "cache", tmp_path / "user")

    assert (tmp_path / "cache/cargo/config.toml").read_text() == '[registries.a]\nindex = "https://a/"\n'
