"""Which files hold the Worker's secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgecli.config import Origin
from tests.config.conftest import Load

FILES = {
    ".dev.vars": "A=dev",
    ".dev.vars.staging": "B=dev-staging",
    ".env": "A=env\nC=env",
    ".env.local": "C=local",
    ".env.staging": "D=staging\nC=staging",
    ".env.staging.local": "D=${A}-local",
}


def only(*names: str) -> dict[str, str]:
    return {name: FILES[name] for name in names}


@pytest.mark.parametrize(
    ("files", "env", "secrets"),
    [
        (FILES, None, {"A": "dev"}),
        (FILES, "staging", {"B": "dev-staging"}),
        (only(".dev.vars", ".env"), "staging", {"A": "dev"}),
        (only(".dev.vars.staging", ".env"), None, {"A": "env", "C": "env"}),
        (only(".env", ".env.local", ".env.staging"), None, {"A": "env", "C": "local"}),
        (only(".env", ".env.local", ".env.staging"), "staging", {"A": "env", "C": "staging", "D": "staging"}),
        (only(".env", ".env.staging.local"), "staging", {"A": "env", "C": "env", "D": "env-local"}),
        ({}, None, {}),
    ],
)
def test_which_files_count(load: Load, files: dict[str, str], env: str | None, secrets: dict[str, str]) -> None:
    assert load("[env.staging]", env=env, files=files).secrets == secrets


def test_only_env_files_expand(load: Load) -> None:
    assert load("", files={".dev.vars": "A=1\nB=${A}"}).secrets == {"A": "1", "B": "${A}"}


def test_env_files_can_be_switched_off(load: Load) -> None:
    off = {"CLOUDFLARE_LOAD_DEV_VARS_FROM_DOT_ENV": "false"}
    assert load("", files=only(".env"), environ=off).secrets == {}
    assert load("", files=only(".env", ".dev.vars"), environ=off).secrets == {"A": "dev"}


def test_the_process_can_be_included(load: Load) -> None:
    environ = {"CLOUDFLARE_INCLUDE_PROCESS_ENV": "true", "A": "process", "OTHER": "1"}
    secrets = load("", files=only(".env"), environ=environ).secrets
    assert (secrets["A"], secrets["C"], secrets["OTHER"]) == ("process", "env", "1")


def test_secrets_replace_variables(load: Load) -> None:
    project = load("[vars]\nA = 'plain'\n'问候' = '你好'", files={".dev.vars": "A=secret"})
    assert project.vars == {"问候": "你好"}
    assert project.secrets == {"A": "secret"}
    assert project.origins["secrets.A"] == Origin(project.root / ".dev.vars", 1, ".dev.vars")


def test_required_names_close_the_list(load: Load) -> None:
    text = "[vars]\nV = 1\n[secrets]\nrequired = ['KEY', 'TOKEN', 'NONE']"
    project = load(text, files={".dev.vars": "KEY=k\nV=v\nEXTRA=x"}, environ={"TOKEN": "t"})
    assert project.secrets == {"KEY": "k", "V": "v", "TOKEN": "t"}
    (finding,) = project.diagnostics
    assert finding.message == "Missing required secrets: NONE."
    assert finding.line == 4
    assert project.origins["secrets.TOKEN"] == Origin(None, None, "environment variable", "TOKEN")


def test_a_virtual_environment_of_the_name_is_no_env_file(load: Load, tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    assert load("", files={".env.local": "A=1"}).secrets == {"A": "1"}


def test_bytes_that_are_no_utf8_are_warned_about(load: Load, tmp_path: Path) -> None:
    (tmp_path / ".dev.vars").write_bytes(b"A=1\nB=caf\xe9\n")
    project = load("")
    assert project.secrets == {"A": "1", "B": "caf\N{REPLACEMENT CHARACTER}"}
    (finding,) = project.diagnostics
    assert finding.message == ".dev.vars:2: a byte is not UTF-8 and was replaced."


def test_an_enormous_file_is_not_read(load: Load, tmp_path: Path) -> None:
    (tmp_path / ".dev.vars").write_bytes(b"#" * (1024 * 1024 + 1))
    assert load("").diagnostics[0].message == ".dev.vars is larger than 1 MB and was not read."


def test_a_secret_setting_may_stand_among_the_secrets(load: Load) -> None:
    files = {".dev.vars": "EDGECLI_VECTORIZE_TOKEN=of-the-file\nEDGECLI_VECTORIZE_URL=http://not-a-secret:1"}
    settings = load("", files=files).settings.vectorize
    assert (settings.token, settings.url) == ("of-the-file", "")
