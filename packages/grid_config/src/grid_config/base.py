"""What every section of a configuration has in common."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[Decimal, Field(gt=0, allow_inf_nan=False)]
Ratio = Annotated[float, Field(ge=0, allow_inf_nan=False)]

# how an exchange spells a contract
SYMBOL = r"^[A-Z0-9]{2,20}$"


class Settings(BaseModel):
    """Frozen, without settings that nobody knows, and silent about what it was given."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
