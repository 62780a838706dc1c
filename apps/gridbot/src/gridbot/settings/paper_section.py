"""The section `paper`: read by the exchange that it describes, and only where there is one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, PlainSerializer, PlainValidator

if TYPE_CHECKING:
    from paper_exchange.config import PaperConfig


def paper_model() -> type[PaperConfig]:
    """Return the model of the section. Loads the exchange, which a bot on Bybit never does."""
    from paper_exchange.config import PaperConfig  # noqa: PLC0415 - see above

    return PaperConfig


@dataclass(frozen=True, slots=True)
class ReadBy:
    """Says of a field which model reads it, without loading that before it is needed."""

    model: Callable[[], type[BaseModel]]


def _read(value: Any) -> PaperConfig | None:
    return None if value is None else paper_model().model_validate(value)


def _written(value: Any) -> Any:
    return None if value is None else value.model_dump()


if TYPE_CHECKING:
    PaperSection = PaperConfig | None
else:
    PaperSection = Annotated[
        Any, ReadBy(paper_model), PlainValidator(_read), PlainSerializer(_written)
    ]
