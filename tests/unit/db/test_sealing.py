"""Secrets at rest (security: standing rules)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from pydantic import SecretStr, ValidationError

from db import sealing
from db.settings import Settings, settings

Use = Callable[[str], None]


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Iterator[Use]:
    """Sets the setting ``secret_key``."""
    monkeypatch.setenv("UNDERCAST_CONFIG", "/dev/null")
    settings.cache_clear()
    yield lambda text: monkeypatch.setattr(settings(), "secret_key", SecretStr(text))
    settings.cache_clear()


@pytest.mark.parametrize("secret", ["", "hNi0oiTU2sH", "pässword\n", "x" * 999])
def test_what_was_sealed_is_readable_with_the_same_key_only(use: Use, secret: str) -> None:
    use("k" * 32)
    sealed = sealing.seal(secret)
    assert sealed != sealing.seal(secret)
    assert secret.encode() not in sealed or not secret
    assert sealing.unseal(sealed) == secret
    use("l" * 32)
    assert sealing.unseal(sealed) is None
    use("k" * 32)
    assert sealing.unseal(sealed) == secret


def test_what_was_changed_is_not_readable(use: Use) -> None:
    use("k" * 32)
    sealed = bytearray(sealing.seal("secret"))
    sealed[40] ^= 1
    assert sealing.unseal(bytes(sealed)) is None


def test_without_a_key_nothing_is_sealed(use: Use) -> None:
    use("")
    assert not sealing.ready()
    with pytest.raises(sealing.NoSecretKeyError, match="setting secret_key is empty"):
        sealing.seal("secret")
    with pytest.raises(sealing.NoSecretKeyError):
        sealing.unseal(b"")


def test_a_short_key_is_refused_and_not_told() -> None:
    with pytest.raises(ValidationError, match="32 characters or more") as error:
        Settings(secret_key=SecretStr("hush"))  # type: ignore[call-arg]
    assert "hush" not in str(error.value)
