"""Settings files: readable by db.settings, private, and no more than each reader needs."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from db.settings import Settings
from deploy.lab import names, settings_files
from deploy.lab.names import Lab


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.setattr(names, "BASE", tmp_path)
    return Lab("unit")


def test_every_key_is_a_setting(lab: Lab) -> None:
    keys = settings_files.controller(lab, {}, fake_hosts=5) | settings_files.host(lab.host(1), {})
    assert set(keys) <= set(Settings.model_fields)


def test_settings_read_them(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    path = lab.state / "undercast.toml"
    assert settings_files.write(path, settings_files.controller(lab, {}, fake_hosts=0))
    assert not settings_files.write(path, settings_files.controller(lab, {}, fake_hosts=0))
    assert path.stat().st_mode & 0o777 == 0o600
    monkeypatch.setenv("UNDERCAST_CONFIG", str(path))
    settings = Settings()  # type: ignore[call-arg]
    assert "@192.168.50.10:5432/undercast" in settings.database_url.get_secret_value()
    assert settings.image_store == str(lab.state / "images")


def test_passwords_stay_the_same_and_differ_from_each_other(lab: Lab) -> None:
    names_ = ("database", "redis", "internal", "secret_key")
    first = [settings_files.secret(lab, name) for name in names_]
    assert first == [settings_files.secret(lab, name) for name in names_]
    assert len(set(first)) == 4


def test_host_has_no_settings_of_the_api(lab: Lab) -> None:
    values = settings_files.host(lab.host(1), {})
    assert not set(values) & {"image_store", "public_url", "api_port", "secret_key"}
    assert values["management_address"] == "192.168.50.11"


def test_environment_tunes_a_lab_but_does_not_move_it(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNDERCAST_SWEEP_SECONDS", "1")
    monkeypatch.setenv("UNDERCAST_FAULT_DIR", "/somewhere/faults")
    monkeypatch.setenv("UNDERCAST_DATABASE_URL", "postgresql://elsewhere/")
    monkeypatch.setenv("UNDERCAST_API_FD", "0")
    chosen = settings_files.overrides()
    controller = settings_files.controller(lab, chosen, fake_hosts=0)
    host = settings_files.host(lab.host(1), chosen)
    assert controller["sweep_seconds"] == host["sweep_seconds"] == "1"
    assert "elsewhere" not in str(controller["database_url"])
    assert "api_fd" not in controller
    assert host["fault_dir"] == "/var/lib/undercast/compute/faults"


def test_rendered_settings_survive_odd_characters() -> None:
    text = settings_files.render({"redis_url": 'a"b\\c\nd', "api_port": 1})
    assert tomllib.loads(text) == {"redis_url": 'a"b\\c\nd', "api_port": 1}
