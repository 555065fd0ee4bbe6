"""Settings: their sources, and invalid values."""

import re
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from keel.settings import CoreSettings, DevDefault, Environment, Settings, SettingsError


class Example(Settings):
    """Settings of a made-up package."""

    model_config = SettingsConfigDict(env_prefix="EXAMPLE_")

    key: Annotated[SecretStr, DevDefault] = SecretStr("well-known")
    size: Annotated[int, Field(ge=1)] = 1


@pytest.fixture(autouse=True)
def known_environment(environment: None) -> None:
    """Start from the tests' environment."""


def test_prefix_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package's variables begin with its prefix; the environment is the same for all."""
    monkeypatch.setenv("EXAMPLE_SIZE", "7")

    assert Example.load().size == 7
    assert Example.variable("size") == "EXAMPLE_SIZE"
    assert Example.variable("environment") == "ENVIRONMENT"


def test_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Values also come from `.env` and from a folder of secrets; the environment takes precedence."""

    class WithFiles(Example):
        model_config = SettingsConfigDict(env_file=tmp_path / ".env", secrets_dir=tmp_path)

    (tmp_path / ".env").write_text("EXAMPLE_SIZE=7\nLOG_LEVEL=DEBUG\n", encoding="utf-8")
    (tmp_path / "EXAMPLE_KEY").write_text("our own", encoding="utf-8")

    assert (WithFiles.load().size, WithFiles.load().key.get_secret_value()) == (7, "our own")
    assert Example(_env_file=tmp_path / ".env").size == 7
    monkeypatch.setenv("EXAMPLE_SIZE", "8")
    assert WithFiles.load().size == 8


@pytest.mark.parametrize("value", ["a.example, b.example", '["a.example", "b.example"]', "a.example,b.example,"])
def test_lists_may_be_separated_by_commas(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """Lists are comma-separated, or JSON."""
    monkeypatch.setenv("ALLOWED_HOSTS", value)

    assert CoreSettings.load().allowed_hosts == ("a.example", "b.example")


@pytest.mark.parametrize("environment_name", ["staging", "production"])
@pytest.mark.parametrize("value", [None, "well-known"])
def test_local_defaults_are_refused_elsewhere(
    monkeypatch: pytest.MonkeyPatch, environment_name: str, value: str | None
) -> None:
    """In deployments a missing or default value is refused; the message names the variable."""
    monkeypatch.setenv("ENVIRONMENT", environment_name)
    if value is not None:
        monkeypatch.setenv("EXAMPLE_KEY", value)

    with pytest.raises(SettingsError, match=f"EXAMPLE_KEY: set it when ENVIRONMENT={environment_name}"):
        Example.load()


def test_own_values_are_accepted_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its own value, the application starts in production."""
    monkeypatch.setenv("ENVIRONMENT", "production")
    monkeypatch.setenv("EXAMPLE_KEY", "our own")

    assert Example.load().environment is Environment.PRODUCTION


def test_every_problem_is_named_and_no_value_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names every problem, and shows no secret."""
    monkeypatch.setenv("EXAMPLE_SIZE", "s3cret")
    monkeypatch.setenv("ENVIRONMENT", "nowhere")

    with pytest.raises(SettingsError) as caught:
        Example.load()

    assert "EXAMPLE_SIZE: " in str(caught.value)
    assert "ENVIRONMENT: " in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_invalid_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    """An invalid rate prevents startup, rather than limiting nothing."""
    monkeypatch.setenv("RATE_LIMIT", "often")

    with pytest.raises(SettingsError, match="RATE_LIMIT: "):
        CoreSettings.load()


@pytest.mark.parametrize(
    ("environment_name", "log_format", "expected"),
    [("local", "auto", False), ("production", "auto", True), ("local", "json", True), ("production", "console", False)],
)
def test_log_format(monkeypatch: pytest.MonkeyPatch, environment_name: str, log_format: str, *, expected: bool) -> None:
    """Console logs in local, JSON elsewhere, unless configured."""
    monkeypatch.setenv("ENVIRONMENT", environment_name)
    monkeypatch.setenv("LOG_FORMAT", log_format)
    monkeypatch.setenv("ALLOWED_HOSTS", "api.example")

    assert CoreSettings.load().json_logs is expected


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        (
            "CORS_ORIGINS",
            "HTTPS://App.Example.com/, http://localhost:5173",
            ("https://app.example.com", "http://localhost:5173"),
        ),
        ("CORS_ORIGINS", "https://a.example.com:443,http://b:80/", ("https://a.example.com", "http://b")),
        ("CORS_ORIGINS", "capacitor://localhost,http://[::1]:3000", ("capacitor://localhost", "http://[::1]:3000")),
        ("ALLOWED_HOSTS", "https://API.example.com/,example.com:8000", ("api.example.com", "example.com")),
        ("ALLOWED_HOSTS", "*.example.com.,[::1]:8000,*", ("*.example.com", "[::1]", "*")),
    ],
)
def test_hosts_and_origins_are_normalized(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, expected: tuple[str, ...]
) -> None:
    """Equivalent spellings are accepted."""
    monkeypatch.setenv(variable, value)

    assert getattr(CoreSettings.load(), variable.lower()) == expected


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        *(("CORS_ORIGINS", value) for value in ("app.example.com", "https://", "https://a.example.com/app", "null")),
        *(
            ("CORS_ORIGINS", value)
            for value in ("https://*.example.com", "https://b\u00fccher.example", "http://a:port")
        ),
        *(
            ("ALLOWED_HOSTS", value)
            for value in (".example.com", "a.*.com", "example.com/api", "https://", "::1", "b\u00fccher.de")
        ),
    ],
)
def test_invalid_hosts_and_origins(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    """They would silently match nothing: startup fails and says what to write."""
    monkeypatch.setenv(variable, value)

    with pytest.raises(SettingsError, match=f"{variable}: .*{re.escape(value)} is no .*write"):
        CoreSettings.load()
