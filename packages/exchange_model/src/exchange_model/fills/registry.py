"""The fill models by name: what makes one, what it says of itself, which settings it has.

A model is added here, with its class beside and its row in docs/backtest.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import Field

from exchange_model.fills.chance import ChanceFillSimulator
from exchange_model.fills.fill_simulator import (
    FillModel,
    QueueFillSimulator,
    TouchFillSimulator,
    TradeThroughFillSimulator,
    VisibleAt,
    VisibleQueue,
)
from grid_config.base import Settings


class FillModelName(StrEnum):
    """The models as configurations name them."""

    STRICT_CROSS = "strict_cross"
    TOUCH = "touch"
    QUEUE = "queue"
    CHANCE = "chance"


@dataclass(frozen=True, slots=True, kw_only=True)
class FillPlace:
    """Where a model works: the step of quantities, and what others have resting at a price.

    `visible` (base coin, by side and ticks) where there is a book to see, else everybody is
    assumed to join behind `queue_ahead_usdt`.
    """

    qty_step: Decimal
    queue_ahead_usdt: Decimal = Decimal(0)
    visible: VisibleAt | None = None


@dataclass(frozen=True, slots=True)
class FillModelEntry:
    """How a model is made, in a sentence when it fills and how it errs, and which of a run's
    settings it follows (named in braces).
    """

    make: Callable[[FillModelSettings, FillPlace], FillModel]
    sentence: str
    follows: str = ""


def _queue(settings: FillModelSettings, place: FillPlace) -> FillModel:
    if place.visible is not None:
        return VisibleQueue(place.visible, place.qty_step)
    return QueueFillSimulator(place.queue_ahead_usdt, place.qty_step)


FILL_MODELS: Mapping[str, FillModelEntry] = MappingProxyType(
    {
        FillModelName.STRICT_CROSS: FillModelEntry(
            lambda settings, place: TradeThroughFillSimulator(),
            "fills when the market trades beyond the limit; understates fills",
        ),
        FillModelName.TOUCH: FillModelEntry(
            lambda settings, place: TouchFillSimulator(),
            "fills when the market trades at the limit; overstates fills",
        ),
        FillModelName.QUEUE: FillModelEntry(
            _queue,
            "fills by the volume that gets through the queue before it; errs either way",
            "an assumed queue of {queue_ahead_usdt} USDT",
        ),
        FillModelName.CHANCE: FillModelEntry(
            lambda settings, place: ChanceFillSimulator(settings.fill_chance, settings.fill_seed),
            "fills beyond the limit, and at it by chance, whatever the size; errs either way",
            "a chance of {fill_chance}, seed {fill_seed}",
        ),
    }
)


def fill_model_entry(name: str) -> FillModelEntry:
    """Return what is known of a model. Raises ValueError for a name that no model has."""
    entry = FILL_MODELS.get(name)
    if entry is None:
        raise ValueError(f"there is no fill model {name!r}; there are {', '.join(FILL_MODELS)}")
    return entry


def fill_model_sentence(name: str, settings: Mapping[str, Any]) -> str:
    """Return when a model fills and how it errs, under the settings of a run."""
    entry = fill_model_entry(name)
    return "; ".join(part for part in (entry.sentence, entry.follows.format_map(settings)) if part)


class FillModelSettings(Settings):
    """When a resting order fills; docs/backtest.md says what each model over- and understates."""

    fill_model: FillModelName = Field(
        default=FillModelName.STRICT_CROSS,
        description=" · ".join(f"{name}: {one.sentence}" for name, one in FILL_MODELS.items()),
    )
    fill_chance: Annotated[Decimal, Field(ge=0, le=1)] = Field(
        default=Decimal("0.5"), description="that a trade at the limit fills (chance only)"
    )
    fill_seed: int = Field(default=1, description="of the draws (chance only)")

    def fill_model_at(self, place: FillPlace) -> FillModel:
        """Return the chosen model."""
        return fill_model_entry(self.fill_model).make(self, place)
