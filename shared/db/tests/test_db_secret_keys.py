"""Keys of the credentials: where they come from, how they are replaced, what they never show."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from grid_db import DatabaseFactory, TenantScope
from grid_db.crypto import FILE_VARIABLE, KEY_VARIABLE, CredentialCipher, generate_key
from grid_db.errors import InvalidValueError, SecretKeyError
from grid_db.redact import redact_config
from testkit.tenants import Tenant

ACCOUNT = "00000000-0000-0000-0000-000000000001"


def pair(cipher: CredentialCipher) -> str:
    return cipher.encrypt(ACCOUNT, SecretStr("my-key"), SecretStr("my-secret"))


def test_a_key_from_the_environment_or_from_a_file(tmp_path: Path) -> None:
    old, new = generate_key(), generate_key()
    token = pair(CredentialCipher([old]))
    file = tmp_path / "keys"
    file.write_text(f"{new}\n{old}\n")
    for environ in ({KEY_VARIABLE: f"{new}, {old}"}, {FILE_VARIABLE: str(file)}):
        cipher = CredentialCipher.from_environment(environ)
        found = cipher.decrypt(ACCOUNT, token)
        assert found.api_secret.get_secret_value() == "my-secret"
        rotated = cipher.rotate(token)
        assert CredentialCipher([new]).decrypt(ACCOUNT, rotated) == found


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({}, f"set {KEY_VARIABLE}, or put it into a file and set {FILE_VARIABLE}"),
        ({KEY_VARIABLE: "x", FILE_VARIABLE: "y"}, "are both set; keep one"),
        ({FILE_VARIABLE: "/nowhere/key"}, "the key file /nowhere/key cannot be read"),
        ({KEY_VARIABLE: "too-short"}, "secret key 1 of 1 is no Fernet key"),
    ],
)
def test_what_is_wrong_with_a_key_is_told_without_it(environ: dict[str, str], says: str) -> None:
    with pytest.raises(SecretKeyError) as refusal:
        CredentialCipher.from_environment(environ)
    assert says in str(refusal.value)
    told = "".join(traceback.format_exception(refusal.value))
    assert "too-short" not in told.replace("test_db_secret_keys", "")


def test_a_key_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "keys").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SecretKeyError, match="it is no text"):
        CredentialCipher.from_environment({FILE_VARIABLE: str(tmp_path / "keys")})


def test_a_wrong_key_and_another_account_are_told_apart() -> None:
    cipher = CredentialCipher([generate_key()])
    token = pair(cipher)
    other = CredentialCipher([generate_key()])
    with pytest.raises(SecretKeyError, match="add the old key after the new one"):
        other.decrypt(ACCOUNT, token)
    with pytest.raises(SecretKeyError, match="add the old key after the new one"):
        other.rotate(token)
    with pytest.raises(SecretKeyError, match="was made for another account"):
        cipher.decrypt("00000000-0000-0000-0000-000000000002", token)
    assert "my-" not in repr(cipher) + token
    for wrong in (("", "s"), ("k", "")):
        with pytest.raises(InvalidValueError, match="give both"):
            cipher.encrypt(ACCOUNT, *(SecretStr(part) for part in wrong))


def test_a_rotation_that_fails_changes_nothing(database: DatabaseFactory) -> None:
    tenant = Tenant(database, "alice")
    tenant.fill(database)

    def stored() -> str:
        with database.engine.connect() as connection:
            return str(connection.execute(text("SELECT token FROM api_credentials")).scalar())

    before = stored()
    with pytest.raises(SecretKeyError), database.get_session() as session:
        TenantScope(session, tenant.user_id).credentials(
            CredentialCipher([generate_key()])
        ).rotate()
    assert stored() == before


def test_configurations_lose_their_secrets_before_they_are_stored() -> None:
    config = {
        "accounts": [{"name": "a", "api_key": "k1", "api_secret": SecretStr("k2")}],
        "url": "postgresql://u:k3@h/d",
        "notification": {"telegram": {"bot_token": "k4", "chat_id": 7}},
        "passphrase": None,
        "grid_step": 0.2,
    }
    shown = redact_config(config)
    assert not any(secret in str(shown) for secret in ("k1", "k2", "k3", "k4"))
    assert shown["notification"]["telegram"]["chat_id"] == 7
    assert shown["passphrase"] is None
    assert shown["grid_step"] == 0.2
