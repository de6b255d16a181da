"""Passwords are hashed in one place (security: row 29)."""

from __future__ import annotations

import pytest

from db.passwords import LONGEST, hash_password, verify_password


def test_only_the_password_fits() -> None:
    stored = hash_password("correct horse")
    assert stored.startswith("$argon2id$")
    assert "correct" not in stored
    assert verify_password(stored, "correct horse")
    assert not verify_password(stored, "correct horse ")
    assert not verify_password(stored, "")


def test_each_hash_has_a_salt_of_its_own() -> None:
    assert hash_password("x") != hash_password("x")


@pytest.mark.parametrize("password", ["", "x" * (LONGEST + 1), "ä" * LONGEST, "\ud800"])
def test_security_29_what_is_not_hashed(password: str) -> None:
    with pytest.raises(ValueError, match=r"password|surrogates"):
        hash_password(password)


@pytest.mark.parametrize("password", ["x" * (LONGEST + 1), "\ud800"])
def test_security_29_what_is_not_tried(password: str) -> None:
    assert not verify_password(hash_password("x"), password)


@pytest.mark.parametrize("stored", ["", "x", "$argon2id$", "no password"])
def test_what_is_no_hash(stored: str) -> None:
    assert not verify_password(stored, "x")
