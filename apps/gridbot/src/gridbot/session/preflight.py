"""What has to be right on the exchange before a start: the one list, for `--check` and the start.

Nothing is changed there. Problems keep something from starting, notes are worth knowing; both are
whole sentences.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal

from bybit_adapter import AuthError, BybitError, Instrument, PositionRecord
from gridbot.ports import ExchangeClock, Rest
from gridbot.session.key_permission import key_problem
from gridbot.settings.config import GridbotConfig, StrategySettings
from gridcore import GridcoreError, StrategyConfig
from gridcore.exact import exact_fraction
from gridcore.plan import GridPlan, plan_grid

LARGEST_START_DRIFT = timedelta(seconds=5)


@dataclass(slots=True)
class AccountReport:
    """One account. `wallet` is its balance of USDT."""

    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    wallet: Decimal | None = None


@dataclass(slots=True)
class StrategyReport:
    """One strategy. Prices are USDT; what a problem kept from being found is None."""

    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    instrument: Instrument | None = None
    price: Decimal | None = None
    plan: GridPlan | None = None


async def measure_clock(rest: Rest, clock: ExchangeClock) -> timedelta:
    """Ask the exchange for its time; return how far it is ahead. Raises BybitError."""
    sent = clock.local()
    server = await rest.get_server_time()
    return clock.measured(sent, clock.local(), server)


async def look_at_account(name: str, rest: Rest, clock: ExchangeClock) -> AccountReport:
    """Look at the clock, the key, the account's mode and its money."""
    report = AccountReport()
    try:
        await _look_at_account(name, rest, clock, report)
    except BybitError as error:
        report.problems.append(f"account {name}: {error}")
    return report


async def _look_at_account(
    name: str, rest: Rest, clock: ExchangeClock, report: AccountReport
) -> None:
    drift = await measure_clock(rest, clock)
    if abs(drift) > LARGEST_START_DRIFT:
        # signed calls would be refused for it, in words that do not say by how much
        report.problems.append(
            f"account {name}: the clock of this machine differs from the exchange's by"
            f" {drift.total_seconds():+.1f} s; set it (NTP) and start again"
        )
        return
    report.notes.append(f"clock {drift.total_seconds() * 1000:+.0f} ms")
    info = await rest.get_account_info()
    refused = await key_problem(name, rest)
    if refused is not None:
        report.problems.append(refused)
    wallet = await rest.get_wallet_balance()
    report.wallet = None if wallet.snapshot is None else wallet.snapshot.wallet_balance
    if not report.wallet:
        report.problems.append(
            f"account {name}: it holds no USDT in its unified account; transfer some and start"
            " again"
        )
    if not info.is_unified or not info.is_cross_margin:
        report.problems.append(
            f"account {name}: margin mode {info.margin_mode}, unified margin status"
            f" {info.unified_margin_status}; it has to be a unified account in cross margin"
        )


async def look_at_strategy(
    config: GridbotConfig, one: StrategySettings, rest: Rest, wallet: Decimal | None
) -> StrategyReport:
    """Look at the contract, at the legs' mode, and at what the grid would place there now."""
    report = StrategyReport()
    try:
        await _look_at_strategy(config, one, rest, wallet, report)
    except (BybitError, GridcoreError) as error:
        text = str(error)
        is_named = text.startswith(f"{one.strat_id}: ")
        report.problems.append(text if is_named else f"{one.strat_id}: {text}")
    return report


async def _look_at_strategy(
    config: GridbotConfig,
    one: StrategySettings,
    rest: Rest,
    wallet: Decimal | None,
    report: StrategyReport,
) -> None:
    report.instrument = instrument = await rest.get_instrument(one.symbol)
    if not instrument.is_trading:
        report.problems.append(
            f"{one.strat_id}: {one.symbol} is not traded, the exchange says {instrument.status}"
        )
        return
    strategy = config.strategy_config(one, instrument.rules)
    most = instrument.max_leverage
    if most is not None and one.leverage > most:
        report.problems.append(
            f"{one.strat_id}: leverage is {one.leverage:f}, the contract has {most:f} at most;"
            " lower it"
        )
    positions = await rest.get_positions(one.symbol)
    refused = one_way_problem(one.strat_id, one.symbol, positions)
    if refused is not None:
        report.problems.append(refused)
    for leg in positions:
        if leg.size:
            report.notes.append(f"{leg.direction} {leg.size} at {leg.entry_price}")
    told = {leg.leverage for leg in positions} - {None, one.leverage}
    report.notes += [f"leverage {leverage} becomes {one.leverage}" for leverage in told]
    await _look_at_fees(one, rest, report)
    tickers = await rest.get_tickers(one.symbol)
    report.price = tickers[0].last_price if tickers else None
    if report.price is None:
        report.problems.append(f"{one.strat_id}: {one.symbol} has no price; is it traded yet?")
        return
    report.plan = plan_grid(strategy, report.price, wallet)
    report.problems += _size_problems(one, strategy, report.plan)
    if wallet is not None and report.plan.margin > wallet:
        report.notes.append("the wallet does not carry all opening orders; some will wait")


def one_way_problem(strat_id: str, symbol: str, positions: Iterable[PositionRecord]) -> str | None:
    """Return the sentence about a contract that has no two legs, None for one that has."""
    if all(leg.direction is not None for leg in positions):
        return None
    return (
        f"{strat_id}: {symbol} is in one-way mode; switch the account to hedge mode (position"
        " mode of the contract) and start again"
    )


async def _look_at_fees(one: StrategySettings, rest: Rest, report: StrategyReport) -> None:
    try:
        maker = (await rest.get_fee_rates(one.symbol)).maker
    except AuthError:
        raise
    except BybitError as error:
        # demo trading does not tell of fees; a grid that they eat shows only in its profit
        report.notes.append(f"the fees are not known: {error.message}")
        return
    round_trip = 2 * exact_fraction(maker)
    if exact_fraction(one.grid_step) / 100 <= round_trip:
        report.problems.append(
            f"{one.strat_id}: grid_step is {one.grid_step:f} %, and the fees of buying and selling"
            f" once are {float(round_trip * 100):g} % ({maker * 100:f} % as maker, twice); every"
            " round trip would lose, set a larger step"
        )


def _size_problems(one: StrategySettings, strategy: StrategyConfig, plan: GridPlan) -> list[str]:
    if not plan.orders:
        return []
    found = []
    if plan.is_enlarged(one.max_amount_factor):
        found.append(f"{one.strat_id}: {plan.enlarged_text(one.max_amount_factor)}")
    cap, smallest = strategy.safety_caps.max_notional, plan.placed_usdt[0]
    if cap is not None and cap < smallest:
        found.append(
            f"{one.strat_id}: safety_caps.max_notional is {cap:f} USDT, and one order is"
            f" {smallest:.2f} USDT; nothing would ever be opened, raise it"
        )
    return found
