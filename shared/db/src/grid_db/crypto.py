"""Encryption of API credentials at rest.

Keys come from GRIDBOT_SECRET_KEY, or from the file that GRIDBOT_SECRET_KEY_FILE names: one or
several Fernet keys, separated by commas or white space. The first encrypts; all of them decrypt,
which is how a key is replaced without losing what the old one wrote.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from pydantic import SecretStr

from grid_db.errors import InvalidValueError, SecretKeyError
from grid_db.records import ApiCredential

KEY_VARIABLE = "GRIDBOT_SECRET_KEY"
FILE_VARIABLE = "GRIDBOT_SECRET_KEY_FILE"
MAKE_A_KEY = (
    'python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"'
)


def generate_key() -> str:
    """Return a new key, to be kept outside the database."""
    return Fernet.generate_key().decode()


class CredentialCipher:
    """Turns key pairs into tokens and back. Holds keys, and shows none of them."""

    def __init__(self, keys: Sequence[str | SecretStr]) -> None:
        """Take the keys, newest first. Raises SecretKeyError if there is none or one is no key."""
        if not keys:
            raise SecretKeyError(_no_key())
        fernets = []
        for number, key in enumerate(keys, start=1):
            text = key.get_secret_value() if isinstance(key, SecretStr) else key
            try:
                fernets.append(Fernet(text))
            except ValueError:
                raise SecretKeyError(
                    f"secret key {number} of {len(keys)} is no Fernet key (32 bytes in URL-safe"
                    f" base64); make one with {MAKE_A_KEY}"
                ) from None
        self._newest, self._all = fernets[0], MultiFernet(fernets)

    def __repr__(self) -> str:
        return "CredentialCipher(keys hidden)"

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> "CredentialCipher":
        """Return the cipher of GRIDBOT_SECRET_KEY or GRIDBOT_SECRET_KEY_FILE.

        Raises SecretKeyError, with instructions, if neither is set, both are, or the file cannot
        be read.
        """
        environ = os.environ if environ is None else environ
        key, file = environ.get(KEY_VARIABLE, "").strip(), environ.get(FILE_VARIABLE, "").strip()
        if key and file:
            raise SecretKeyError(f"{KEY_VARIABLE} and {FILE_VARIABLE} are both set; keep one")
        if file:
            try:
                key = Path(file).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                reason = error.strerror if isinstance(error, OSError) else "it is no text"
                raise SecretKeyError(
                    f"the key file {file} cannot be read ({reason}); correct {FILE_VARIABLE}"
                ) from None
        return cls(key.replace(",", " ").split())

    def encrypt(self, account_id: str, api_key: SecretStr, api_secret: SecretStr) -> str:
        """Return the token that only this account's row may hold."""
        if not api_key.get_secret_value() or not api_secret.get_secret_value():
            raise InvalidValueError("the API key or its secret is empty; give both")
        content = {
            "account_id": account_id,
            "api_key": api_key.get_secret_value(),
            "api_secret": api_secret.get_secret_value(),
        }
        return self._newest.encrypt(json.dumps(content).encode()).decode()

    def decrypt(self, account_id: str, token: str) -> ApiCredential:
        """Return the key pair. Raises SecretKeyError if no key fits or it is another account's."""
        try:
            content = json.loads(self._all.decrypt(token.encode()))
        except InvalidToken:
            raise SecretKeyError(
                f"the credential of account {account_id} was encrypted with a key that is not"
                f" among the keys given; add the old key after the new one in {KEY_VARIABLE}"
            ) from None
        if content["account_id"] != account_id:
            raise SecretKeyError(
                f"the credential of account {account_id} was made for another account; store it"
                " anew"
            )
        return ApiCredential(
            account_id=account_id,
            api_key=SecretStr(content["api_key"]),
            api_secret=SecretStr(content["api_secret"]),
        )

    def rotate(self, token: str) -> str:
        """Return the token encrypted with the newest key. Raises SecretKeyError if none fits."""
        try:
            return self._all.rotate(token.encode()).decode()
        except InvalidToken:
            raise SecretKeyError(
                "a credential was encrypted with a key that is not among the keys given;"
                f" add the old key after the new one in {KEY_VARIABLE}"
            ) from None


def _no_key() -> str:
    return (
        f"there is no secret key, so no API credential can be stored or read; make one with"
        f" {MAKE_A_KEY}, keep it outside the database, and set {KEY_VARIABLE}, or put it into a"
        f" file and set {FILE_VARIABLE}"
    )
