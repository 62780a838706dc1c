"""From a configuration to an exchange: listings, feeds, accounts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from zlib import crc32

from exchange_model.account.simulated_account import FeeRates
from grid_db import DatabaseFactory
from market_data.basics.data_errors import DataError
from market_data.files.file_kind import FileKind, file_kind
from market_data.rules.instrument_info import FoundRules, RulesSource, default_rules, default_tiers
from market_data.rules.market_rules import parse_instrument, read_answer
from paper_exchange.basics.settings import MatchingSettings
from paper_exchange.basics.wire import Row
from paper_exchange.book.account import ApiKey, MntWallet, PaperAccount
from paper_exchange.config import (
    AccountSettings,
    ArchiveFeedSettings,
    DatabaseFeedSettings,
    LiveFeedSettings,
    PaperConfig,
    SymbolSettings,
    SyntheticFeedSettings,
    expires_ms,
)
from paper_exchange.feeds import ArchiveFeed, DatabaseFeed, Feed, SyntheticFeed, merged
from paper_exchange.host.assembly import Assembly, assemble
from paper_exchange.host.state_file import ExchangeState, restore
from paper_exchange.market.depth import Depth
from paper_exchange.market.listing import ContractStatus, Listing, listing_of_rows, listing_of_rules
from paper_exchange.market.market import FeedEvent, Market
from paper_exchange.rest.rate_limits import RateLimits

FIRST_UID = 1_001
USUAL_RATE = Decimal("0.0001")  # until a feed says another one
STARTS = 1_000  # of one state, that are told apart within a second
OpenDatabase = Callable[[str], DatabaseFactory]


class UnknownContractError(DataError):
    """Nobody knows the rules of a symbol."""


def listings(config: PaperConfig) -> list[Listing]:
    """Return the listings of the configured symbols. Raises DataError, GridcoreError."""
    rows: dict[str, Row] = {}
    risks: dict[str, list[Row]] = {}
    for path in config.instruments:
        for row in read_answer(path):
            if file_kind(path) is FileKind.INSTRUMENTS:
                rows[row["symbol"]] = row
            else:
                risks.setdefault(row["symbol"], []).append(row)
    return [_listing(one, rows, risks, number) for number, one in enumerate(config.symbols, 1)]


def _listing(
    one: SymbolSettings, rows: dict[str, Row], risks: dict[str, list[Row]], number: int
) -> Listing:
    defaults = default_rules(one.symbol)
    row, risk = rows.get(one.symbol), risks.get(one.symbol)
    if row is None and defaults is None:
        raise UnknownContractError(
            f"{one.symbol}: its rules are not known; add a saved answer of instruments-info (and"
            " of risk-limit) under instruments"
        )
    if row is not None and risk is None:
        risk = _default_risk(one.symbol, row)
    if row is not None and risk is not None:
        listing = listing_of_rows(row, risk)
    else:
        assert defaults is not None  # noqa: S101 - one of the two is there, see above
        listing = listing_of_rules(defaults, number)
    if one.status != ContractStatus.TRADING.value:
        listing = listing.with_status(ContractStatus.PRE_LAUNCH)
    return listing if one.tick_size is None else listing.with_tick_size(one.tick_size)


def _default_risk(symbol: str, row: Row) -> list[Row]:
    rules = parse_instrument(dict(row))
    found = FoundRules(
        rules.instrument, default_tiers(symbol), rules.funding_interval_min,
        RulesSource.DEFAULTS, None,
    )  # fmt: skip
    return list(listing_of_rules(found).risk_rows)


def markets(config: PaperConfig, listed: Sequence[Listing]) -> list[Market]:
    """Return the markets of the configuration, without a price."""
    return [
        Market(
            listing,
            Depth(one.level_usdt, crc32(one.symbol.encode()) ^ config.seed),
            _funding_rate(one),
            one.spread_ticks,
        )
        for one, listing in zip(config.symbols, listed, strict=True)
    ]


def _funding_rate(one: SymbolSettings) -> Decimal:
    feed = one.feed
    return feed.funding_rate if isinstance(feed, SyntheticFeedSettings) else USUAL_RATE


def accounts(config: PaperConfig) -> list[PaperAccount]:
    """Return the accounts of the configuration, with nothing but their deposits."""
    return [_account(one, FIRST_UID + place) for place, one in enumerate(config.accounts)]


def _account(one: AccountSettings, uid: int) -> PaperAccount:
    keys = tuple(
        ApiKey(
            key=key.key,
            secret=key.secret.get_secret_value(),
            read_only=key.read_only,
            ips=key.ips,
            expires_ms=expires_ms(key.expires),
        )
        for key in one.all_keys()
    )
    return PaperAccount(
        one.name,
        uid,
        one.deposit,
        FeeRates(one.maker_fee, one.taker_fee),
        one.leverage,
        keys,
        hedge_mode=one.hedge_mode,
        mnt=MntWallet(
            deposits=one.mnt_deposit, price=one.mnt_price, pays_fees=one.fee_coin == "MNT"
        ),
    )


def feeds(
    config: PaperConfig, listed: Sequence[Listing], open_database: OpenDatabase
) -> list[Feed]:
    """Return the feeds of all symbols that have one here; live ones are connected elsewhere.

    Raises DataError, ValueError, and what opening a database raises.
    """
    found: list[Feed] = []
    for one, listing in zip(config.symbols, listed, strict=True):
        instrument, feed = listing.instrument, one.feed
        if isinstance(feed, SyntheticFeedSettings):
            seed = config.seed ^ crc32(one.symbol.encode())
            found.append(SyntheticFeed(instrument, feed.to_settings(seed)))
        elif isinstance(feed, ArchiveFeedSettings):
            found.append(ArchiveFeed(feed.files, one.symbol, instrument, feed.loop))
        elif isinstance(feed, DatabaseFeedSettings):
            database = open_database(feed.url.get_secret_value())
            found.append(DatabaseFeed(database, one.symbol, instrument, feed.start, feed.end))
    return found


def live_symbols(config: PaperConfig) -> dict[str, list[str]]:
    """Return the symbols whose feed is live, by environment."""
    found: dict[str, list[str]] = {}
    for one in config.symbols:
        if isinstance(one.feed, LiveFeedSettings):
            found.setdefault(one.feed.environment, []).append(one.symbol)
    return found


def build(
    config: PaperConfig,
    open_database: OpenDatabase,
    *,
    start_ms: int,
    state: ExchangeState | None = None,
) -> tuple[Assembly, Iterator[FeedEvent]]:
    """Return the exchange of a configuration and the events of its feeds.

    Raises DataError, ValueError, GridcoreError, StateFileError.
    """
    listed = listings(config)
    matching = config.matching
    parts = assemble(
        markets(config, listed),
        accounts(config),
        start_ms=start_ms,
        settings=MatchingSettings(
            fills=matching,
            taker_model=matching.taker_model,
            match_delay_ms=matching.match_delay_ms,
            max_open_orders=matching.max_open_orders,
            funding=matching.funding,
        ),
        limits=RateLimits(config.limits.factor, config.limits.per_ip),
        seed=config.seed,
        # whoever remembers an earlier exchange must not take the ids of this one for its, whether
        # that left its state or not
        epoch=start_ms * STARTS + (0 if state is None else (state.epoch + 1) % STARTS),
        ack_delay_ms=config.ack_delay_ms,
    )
    if state is not None:
        restore(parts.exchange, state)
    sources = feeds(config, listed, open_database)
    return parts, merged(sources).events(start_ms) if sources else iter(())
