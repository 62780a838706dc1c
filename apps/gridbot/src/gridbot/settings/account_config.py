"""One exchange account of the configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from bybit_adapter import Hidden
from bybit_adapter.basics.environment import Environment as Place
from grid_db import Environment
from gridbot.settings.sections import SecretSettings


@dataclass(frozen=True, slots=True)
class ApiKeys:
    """A key pair. Its repr shows neither half."""

    api_key: SecretStr
    api_secret: SecretStr

    def hidden(self) -> tuple[Hidden, Hidden]:
        """Return both halves for a client."""
        return Hidden(self.api_key.get_secret_value()), Hidden(self.api_secret.get_secret_value())


class AccountConfig(SecretSettings):
    """One exchange account. `testnet: true|false` stands for environment testnet or mainnet."""

    name: Annotated[
        str, Field(min_length=1, max_length=50, pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")
    ]
    environment: Environment = Field(
        description="no default, so that no order goes astray; or testnet: true / false"
    )
    api_key: SecretStr | None = Field(
        default=None, description="${VARIABLE}; left out: stored in the database, see docs"
    )
    api_secret: SecretStr | None = Field(default=None, description="with api_key, or left out")
    paper_port: Annotated[int, Field(ge=1, le=65_535)] | None = Field(
        default=None,
        description="of a paper exchange of this machine that runs by itself (environment paper);"
        " left out: the one of the section paper",
    )

    @model_validator(mode="before")
    @classmethod
    def _testnet(cls, values: Any) -> Any:
        if not isinstance(values, dict) or "testnet" not in values:
            return values
        values = dict(values)
        testnet = values.pop("testnet")
        if not isinstance(testnet, bool):
            raise ValueError(f"testnet is {testnet!r}; it is true or false")  # noqa: TRY004 - pydantic
        meant = Environment.TESTNET if testnet else Environment.MAINNET
        if values.setdefault("environment", meant.value) != meant.value:
            raise ValueError(
                f"testnet is {str(testnet).lower()} but environment is {values['environment']};"
                " keep one of the two"
            )
        return values

    @field_validator("api_key", "api_secret")
    @classmethod
    def _not_blank(cls, value: SecretStr | None) -> SecretStr | None:
        text = None if value is None else value.get_secret_value()
        if text is not None and (not text or text != text.strip() or not text.isprintable()):
            raise ValueError(
                "is empty or has spaces around it; give the key as Bybit shows it, or leave"
                " api_key and api_secret out to use those of the database"
            )
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.api_key is None) != (self.api_secret is None):
            missing = "api_key" if self.api_key is None else "api_secret"
            raise ValueError(f"{missing} is missing; give both, or neither to use the database's")
        if self.paper_port is not None and self.environment is not Environment.PAPER:
            raise ValueError(
                f"paper_port is given but environment is {self.environment}; it belongs to paper"
            )
        return self

    @property
    def keys(self) -> ApiKeys | None:
        """The key pair, None where it was not given."""
        if self.api_key is None or self.api_secret is None:
            return None
        return ApiKeys(self.api_key, self.api_secret)

    @property
    def is_embedded(self) -> bool:
        """Whether it trades on the exchange that the bot brings along (section `paper`)."""
        return self.environment is Environment.PAPER and self.paper_port is None

    def place(self, embedded_port: int | None = None) -> Place:
        """Return where the exchange is, for the adapter.

        `embedded_port` is where the exchange of the section `paper` listens; raises ValueError
        where it is needed and not given.
        """
        if self.environment is not Environment.PAPER:
            return Place.named(self.environment.value)
        port = self.paper_port or embedded_port
        if not port:
            raise ValueError(f"account {self.name}: the port of the embedded exchange is not known")
        return Place.local(port)
