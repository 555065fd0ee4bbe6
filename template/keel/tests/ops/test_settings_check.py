"""Set variables, compared with the known ones: every difference is named, without values."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from keel.ops import settings_check, upgrades
from keel.ops.upgrades import Change
from keel.packages import WINGS
from keel.settings import CoreSettings, DevDefault, Settings, SettingsError

Write = Callable[[str], Path]


class ShipSettings(Settings):
    """Settings of a made-up package."""

    model_config = SettingsConfigDict(env_prefix="SHIPS_", env_nested_delimiter="__")

    key: Annotated[SecretStr, DevDefault] = SecretStr("well-known")
    size: Annotated[int, Field(ge=1)] = 1
    hull: Annotated[dict[str, str], Field(default_factory=dict)]
    harbour: str = Field(default="", validation_alias=AliasChoices("HARBOUR", "PORT_OF_CALL"))


@pytest.fixture(autouse=True)
def known(environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Start from the tests' environment, with one more settings class and a history."""
    known = [*settings_check.find_settings(), ShipSettings]
    history = [
        ("ships", Change(version="v1.2.0", what="Colder.", renamed={"SHIPS_ICE": "SHIPS_SIZE"})),
        ("ships", Change(version="v1.1.0", what="Wetter.", renamed={"SHIPS_WATER": "SHIPS_ICE"}, removed=("SAIL",))),
        ("ships", Change(version="v1.0.0", what="Slower.", do="Row.", removed=("SHIPS_ENGINE",))),
    ]
    monkeypatch.setattr(settings_check, "find_settings", lambda: known)
    monkeypatch.setattr(settings_check, "changes", lambda: history)
    monkeypatch.setattr(settings_check, "incomplete_examples", lambda _: [])


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write what `.env` holds."""
    path = tmp_path / ".env"
    monkeypatch.setattr(Settings, "model_config", {**Settings.model_config, "env_file": str(path)})

    def write(text: str) -> Path:
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_incomplete_examples_are_reported(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Additions to a reshaped example are reported with the settings, which are checked after each update."""
    write("")
    monkeypatch.setattr(settings_check, "incomplete_examples", lambda _: ["yard.examples.notes.exports is skipped"])

    assert settings_check.problems() == ["yard.examples.notes.exports is skipped"]


def test_known_variables(write: Write) -> None:
    """They are accepted in any letter case, by any alias, and for a part of a nested setting."""
    write("LOG_LEVEL=INFO\nships_size=2\nHARBOUR=a\nPORT_OF_CALL=b\nSHIPS_HULL__COLOUR=red\n# OLD=1\n")

    assert settings_check.problems() == []


@pytest.mark.parametrize("name", ["SHIPS_ICE", "SHIPS_WATER"])
def test_renamed_in_the_file(write: Write, name: str) -> None:
    """A renamed variable, even one renamed twice, is reported with its current name."""
    path = write(f"{name}=s3cret\n")

    assert settings_check.problems() == [f"{path}: {name} is now called SHIPS_SIZE"]


def test_renamed_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same without a file, as in a container."""
    monkeypatch.setenv("SHIPS_ICE", "s3cret")

    assert settings_check.problems() == ["environment: SHIPS_ICE is now called SHIPS_SIZE"]


def test_removed(write: Write) -> None:
    """A variable that is no longer read is reported with what to do, or with what happened."""
    path = write("SHIPS_ENGINE=s3cret\nSAIL=s3cret\n")

    assert settings_check.problems() == [
        f"{path}: SHIPS_ENGINE is no longer read: Row.",
        f"{path}: SAIL is no longer read: Wetter.",
    ]


def test_unknown_in_the_file(write: Write) -> None:
    """An unknown name is reported with a suggestion, and never its value."""
    path = write("LOG_LEVLE=s3cret\nQUITE_ANOTHER=s3cret\n")

    assert settings_check.problems() == [
        f"{path}: LOG_LEVLE is unknown; is it LOG_LEVEL?",
        f"{path}: QUITE_ANOTHER is unknown",
    ]


@pytest.mark.parametrize(("name", "slip"), [("SHIPS_SIZES", True), ("SHIPS_SERVICE_HOST", False), ("SIZE", False)])
def test_unknown_in_the_environment(monkeypatch: pytest.MonkeyPatch, name: str, *, slip: bool) -> None:
    """Typos are found there too; other programs' variables are ignored."""
    monkeypatch.setenv(name, "s3cret")

    assert settings_check.problems() == ([f"environment: {name} is unknown; is it SHIPS_SIZE?"] if slip else [])


def test_variables_of_other_programs(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compose reads `.env` too, and other programs' variables can be allowed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "compose.yaml").write_text("image: ${IMAGE:-app}:$TAG\ncommand: $$NOT\n", encoding="utf-8")
    path = write("IMAGE=a\nTAG=b\nCOMPOSE_PROFILES=c\nNOT=d\nMINE=e\n")

    assert settings_check.problems(["MINE"]) == [f"{path}: NOT is unknown"]


def test_missing_and_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """Required and invalid variables of every class are reported."""
    for name, value in {
        "ENVIRONMENT": "production",
        "ALLOWED_HOSTS": "*",
        "RATE_LIMIT": "s3cret",
        "SHIPS_SIZE": "0",
    }.items():
        monkeypatch.setenv(name, value)

    found = "\n".join(settings_check.problems())

    assert "RATE_LIMIT: " in found
    assert "SHIPS_SIZE: " in found
    assert "s3cret" not in found
    monkeypatch.setenv("RATE_LIMIT", "1/minute")
    monkeypatch.setenv("SHIPS_SIZE", "1")
    assert {
        "ALLOWED_HOSTS: set it when ENVIRONMENT=production",
        "SHIPS_KEY: set it when ENVIRONMENT=production",
    } <= set(settings_check.problems())


def test_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error about a missing setting names the old variable that is still set, and each problem once."""
    monkeypatch.setenv("SHIPS_SIZE", "0")
    monkeypatch.setenv("SHIPS_ICE", "7")
    with pytest.raises(SettingsError) as caught:
        ShipSettings.load()

    assert settings_check.explain(caught.value) == f"{caught.value}\n  environment: SHIPS_ICE is now called SHIPS_SIZE"


def test_every_package_is_checked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Settings are found by walking `app`, even in packages that cannot be installed."""
    monkeypatch.undo()
    modules = {cls.__module__ for cls in settings_check.find_settings()}

    assert CoreSettings.__module__ in modules
    assert {path.parent.name for wing in WINGS for path in (upgrades.PROJECT / wing).rglob("settings.py")} <= {
        m.split(".")[-2] for m in modules
    }
