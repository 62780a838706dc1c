"""What every section of the configuration has in common."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, NoReturn

from pydantic import Field, SecretStr

from grid_config.base import Settings

Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
SecondsOrOff = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]
Port = Annotated[int, Field(ge=0, le=65_535)]


class SecretSettings(Settings):
    """Settings that may hold secrets, and therefore are not pickled."""

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("settings may hold secrets and are not pickled; load the file once more")


class TelegramSettings(SecretSettings):
    """Where alerts go and commands come from."""

    bot_token: SecretStr | None = Field(
        default=None, description="of @BotFather; without it alerts are only logged"
    )
    chat_id: int | None = Field(
        default=None, description="the one chat that is told and obeyed; negative for a group"
    )
    commands: bool = Field(default=True, description="answer /status, /pause, /stop and so on")
    api_url: str = Field(
        default="https://api.telegram.org", description="another server with Telegram's HTTP API"
    )


class NotificationSettings(SecretSettings):
    """Who is told when something happens."""

    telegram: TelegramSettings = TelegramSettings()


class WatchdogSettings(SecretSettings):
    """The separate process that takes opening orders away when the bot is silent."""

    stale_after: Seconds = Field(
        default=60.0, description="age of the heartbeat from which the bot counts as dead"
    )
    check_interval: Seconds = Field(default=5.0, description="between looks at the status file")
    repeat_interval: Seconds = Field(
        default=60.0, description="between further cancels while the bot stays dead"
    )


class LogSettings(SecretSettings):
    """Where the bot writes what it does."""

    file: Path | None = Field(
        default=Path("var/gridbot/gridbot.log"), description="JSON lines; null for none"
    )
    level: Annotated[str, Field(pattern="^(debug|info|warning|error)$")] = Field(
        default="info", description="debug, info, warning or error"
    )
    console: bool = Field(default=True, description="readable text to stderr")
    max_mb: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=50, description="size of one file"
    )
    backups: Annotated[int, Field(ge=1, le=1_000)] = Field(
        default=10, description="older files that are kept"
    )
