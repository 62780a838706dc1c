"""What can be done to an exchange from outside, as it is written in JSON and in a scenario file."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from grid_config.yaml_config import load_yaml_config
from paper_exchange.host.faults import FaultRule

DAY_S = 86_400
Channels = Annotated[str, Field(pattern=r"^(\*|public|private|trade)$")]
Positive = Annotated[Decimal, Field(gt=0, allow_inf_nan=False)]
Ratio = Annotated[Decimal, Field(gt=0, lt=1)]
Direction = Literal["long", "short"]
Side = Literal["Buy", "Sell"]
Coin = Literal["USDT", "MNT"]


class _Action(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Fault(FaultRule):
    """Put a rule into force."""

    do: Literal["fault"] = "fault"


class Heal(_Action):
    """Take one rule out of force, or all of them."""

    do: Literal["heal"]
    number: int | None = None


class Disconnect(_Action):
    """Cut the connections of a channel, with a close frame or without a word."""

    do: Literal["disconnect"]
    channel: Channels = "*"
    reset: bool = False


class Restart(_Action):
    """Be gone for a while; the accounts and the market stay."""

    do: Literal["restart"]
    down_s: Annotated[float, Field(ge=0, le=3600)] = 1.0


class SkewClock(_Action):
    """Let the clock that clients are checked against run ahead (+) or behind (-)."""

    do: Literal["skew_clock"]
    ms: int


class RevokeKey(_Action):
    """Revoke a key, or give it back."""

    do: Literal["revoke_key"]
    key: str
    revoked: bool = True


class JumpPrice(_Action):
    """Let a market jump by percent, and stay there: later prices of its feed are moved too."""

    do: Literal["jump_price"]
    symbol: str
    percent: Annotated[Decimal, Field(gt=-99, lt=1000)]


class ListContract(_Action):
    """Let a contract trade that is only announced (PreLaunch)."""

    do: Literal["list_contract"]
    symbol: str


class Halt(_Action):
    """Stop trading in a symbol, or let it go on. With `tickers` its prices move meanwhile."""

    do: Literal["halt"]
    symbol: str
    halted: bool = True
    code: Literal[110063, 110066, 110074] = 110066
    tickers: bool = False


class _Ending(_Action):
    exec_type: Literal["Settle", "Delivery"] = "Settle"
    closed_after_s: Annotated[float, Field(ge=0, le=DAY_S)] = 60.0


class AnnounceDelisting(_Ending):
    """Announce when a contract ends; then it is settled and, `settling_s` later, delivered."""

    do: Literal["announce_delisting"]
    symbol: str
    in_s: Annotated[float, Field(gt=0, le=366 * DAY_S)]
    settling_s: Annotated[float, Field(ge=0, le=DAY_S)] = 30.0


class Settle(_Action):
    """Begin the settlement of a contract; `deliver` ends it."""

    do: Literal["settle"]
    symbol: str
    tickers: bool = True


class Deliver(_Ending):
    """End a contract: cancel its orders, close its legs at `price` (USDT), the mark price without.

    `closed_after_s` later it is Closed.
    """

    do: Literal["deliver"]
    symbol: str
    price: Positive | None = None


class ChangeRules(_Action):
    """Change rules of a contract; what is on the book stays."""

    do: Literal["change_rules"]
    symbol: str
    tick_size: Positive | None = None
    qty_step: Positive | None = None
    min_qty: Positive | None = None
    max_qty: Positive | None = None
    max_market_qty: Positive | None = None
    min_notional: Annotated[Decimal, Field(ge=0, allow_inf_nan=False)] | None = None
    price_limit_ratio_x: Ratio | None = None
    price_limit_ratio_y: Ratio | None = None
    max_leverage: Positive | None = None


class TickSize(_Action):
    """Change a tick size, and nothing else."""

    do: Literal["tick_size"]
    symbol: str
    tick_size: Positive


class Liquidate(_Action):
    """Liquidate an account: take all legs over, or reduce some of them by `ratio`."""

    do: Literal["liquidate"]
    account: str
    by: Literal["takeover", "reduce"] = "takeover"
    ratio: Annotated[Decimal, Field(gt=0, le=1)] | None = None
    symbol: str = ""
    direction: Literal["", "long", "short"] = ""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.by == "takeover" and (self.ratio is not None or self.symbol or self.direction):
            raise ValueError(
                "a takeover closes all legs; ratio, symbol and direction are for by: reduce"
            )
        return self


class Adl(_Action):
    """Close a part of a leg by auto-deleveraging."""

    do: Literal["adl"]
    account: str
    symbol: str
    direction: Direction
    qty: Positive


class Deposit(_Action):
    """Put USDT or MNT into a wallet, or take it out when negative."""

    do: Literal["deposit"]
    account: str
    amount: Annotated[Decimal, Field(allow_inf_nan=False)]
    coin: Coin = "USDT"


class FeeCoin(_Action):
    """Let an account pay its fees in a coin, at `price` in USDT."""

    do: Literal["fee_coin"]
    account: str
    coin: Coin
    price: Positive | None = None


class SetMarginMode(_Action):
    """Switch an account to another margin mode."""

    do: Literal["set_margin_mode"]
    account: str
    mode: Literal["REGULAR_MARGIN", "ISOLATED_MARGIN"]


class SetLeverage(_Action):
    """Set the leverage of both legs of a symbol."""

    do: Literal["set_leverage"]
    account: str
    symbol: str
    leverage: Positive


class SwitchMode(_Action):
    """Switch a symbol to hedge mode or to one-way mode."""

    do: Literal["switch_mode"]
    account: str
    symbol: str
    hedge: bool


class PlaceOrder(_Action):
    """Place an order by hand; without a price at the market."""

    do: Literal["place_order"]
    account: str
    symbol: str
    direction: Direction
    side: Side
    qty: Positive
    price: Positive | None = None
    create_type: Annotated[str, Field(pattern=r"^CreateBy[A-Za-z_]{1,40}$")] | None = None


class _OneOrder(_Action):
    account: str
    symbol: str
    order_id: str = ""
    order_link_id: str = ""
    direction: Direction | None = None
    side: Side | None = None


class AmendOrder(_OneOrder):
    """Change the oldest open order that fits all that is given; qty is the new total."""

    do: Literal["amend_order"]
    price: Positive | None = None
    qty: Positive | None = None

    @model_validator(mode="after")
    def _changes(self) -> Self:
        if self.price is None and self.qty is None:
            raise ValueError("give a price or a qty that changes")
        return self


class CancelOrder(_OneOrder):
    """Cancel the oldest open order that fits all that is given."""

    do: Literal["cancel_order"]


class CancelOrders(_Action):
    """Cancel all orders of an account in a symbol behind the back of its program."""

    do: Literal["cancel_orders"]
    account: str
    symbol: str
    cancel_type: Annotated[str, Field(pattern=r"^Cancel(By|All)[A-Za-z]{1,40}$")] = "CancelByAdmin"


class ClosePosition(_Action):
    """Close a leg at the market by hand, or `qty` of it."""

    do: Literal["close_position"]
    account: str
    symbol: str
    direction: Direction
    qty: Positive | None = None


Action = Annotated[
    Fault | Heal | Disconnect | Restart | SkewClock | RevokeKey | JumpPrice | ListContract | Halt
    | AnnounceDelisting | Settle | Deliver | ChangeRules | TickSize | Liquidate | Adl | Deposit
    | FeeCoin | SetMarginMode | SetLeverage | SwitchMode | PlaceOrder | AmendOrder | CancelOrder
    | CancelOrders | ClosePosition,
    Field(discriminator="do"),
]  # fmt: skip
ACTION: TypeAdapter[Action] = TypeAdapter(Action)


class ScenarioStep(BaseModel):
    """One step of a scenario: what to do, seconds after the start."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    at_s: Annotated[float, Field(ge=0)]
    action: Action


class Scenario(BaseModel):
    """Faults and actions by time."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: tuple[ScenarioStep, ...]


def read_scenario(path: str | Path) -> Scenario:
    """Return the scenario in a YAML file. Raises ConfigFileError."""
    path = Path(path)
    return load_yaml_config(path, Scenario)
