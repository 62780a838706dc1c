"""Positions and money: /v5/position/*, /v5/account/*, and disconnected-cancel-all."""

from __future__ import annotations

from exchange_model.rules.codes import parameter_error
from paper_exchange.basics.wire import Row, plain
from paper_exchange.book.account import MarginMode
from paper_exchange.rest.calls import Answer, Call, Route
from paper_exchange.rest.rows import closed_pnl_row, ledger_row, position_rows, wallet_row

CATEGORY = "linear"
DAY_MS = 86_400_000
HEDGE, ONE_WAY = "3", "0"


def positions(call: Call) -> Answer:
    """GET /v5/position/list: with a symbol both legs, else only legs that hold something."""
    call.require_linear()
    limit, after = call.limit(20, 200), call.after()
    account = call.account
    symbols = call.symbols()
    numbered: list[tuple[int, Row]] = []
    named = bool(call.text("symbol"))
    for number, symbol in enumerate(symbols, 1):
        market = call.exchange.market(symbol)
        if not named and symbol not in account.books:
            continue
        for leg, row in enumerate(position_rows(account, market)):
            if named or row["size"] != "0":
                numbered.append((number * 2 + leg, row))
    rows, cursor = call.listed(numbered, lambda row: row, limit, after)
    return Answer({"category": CATEGORY, "list": rows, "nextPageCursor": cursor})


def set_leverage(call: Call) -> Answer:
    """POST /v5/position/set-leverage: both legs alike, as in cross margin."""
    call.require_linear()
    market = call.market()
    buy, sell = call.number("buyLeverage"), call.number("sellLeverage")
    if buy is None or sell is None:
        raise parameter_error("buyLeverage and sellLeverage are required")
    if buy != sell:
        raise parameter_error("buy leverage must equal sell leverage in cross margin")
    call.exchange.set_leverage(call.account, market.symbol, buy)
    return Answer()


def switch_mode(call: Call) -> Answer:
    """POST /v5/position/switch-mode: mode 3 is hedge, 0 one-way."""
    call.require_linear()
    mode = call.text("mode")
    if mode not in (HEDGE, ONE_WAY):
        raise parameter_error(f"mode {mode[:10]!r}; it is 0 (one-way) or 3 (hedge)")
    call.exchange.switch_mode(call.account, call.symbols(coins=("coin",)), hedge=mode == HEDGE)
    return Answer()


def closed_pnl(call: Call) -> Answer:
    """GET /v5/position/closed-pnl, newest first."""
    call.require_linear()
    limit, after = call.limit(50, 100), call.after()
    start, end = call.time_range()
    symbols = set(call.symbols(required=False))
    rows, cursor = call.listed(
        (
            (one.number, one)
            for one in reversed(call.account.closed_pnl.values())
            if one.symbol in symbols and start <= one.created_ms <= end
        ),
        lambda one: closed_pnl_row(one, call.exchange.market(one.symbol).listing),
        limit,
        after,
    )
    return Answer({"category": CATEGORY, "list": rows, "nextPageCursor": cursor})


def wallet_balance(call: Call) -> Answer:
    """GET /v5/account/wallet-balance."""
    kind = call.text("accountType")
    if kind != "UNIFIED":
        raise parameter_error(f"accountType {kind[:20]!r}; it is UNIFIED")
    row = wallet_row(call.account)
    coins = [coin for coin in call.text("coin").upper().split(",") if coin]
    if coins:
        row["coin"] = [one for one in row["coin"] if one["coin"] in coins]
    shown = [] if call.hides is not None and call.hides(row) else [row]
    return Answer({"list": shown})


def account_info(call: Call) -> Answer:
    """GET /v5/account/info."""
    dcp = call.account.dcp_window_s
    return Answer(
        {
            "unifiedMarginStatus": 5,
            "marginMode": call.account.margin_mode.value,
            "isMasterTrader": False,
            "spotHedgingStatus": "OFF",
            "updatedTime": str(call.account.margin_mode_ms),
            "dcpStatus": "OFF" if dcp is None else "ON",
            "timeWindow": dcp or 10,
            "smpGroup": 0,
        }
    )


def set_margin_mode(call: Call) -> Answer:
    """POST /v5/account/set-margin-mode: cross or isolated."""
    text = call.text("setMarginMode")
    mode = next((one for one in MarginMode if one.value == text), None)
    if mode is None:
        raise parameter_error(
            f"setMarginMode {text[:30]!r} is not supported; it is {' or '.join(MarginMode)}"
        )
    call.exchange.options.set_margin_mode(call.account, mode)
    return Answer({"reasons": []})


def fee_rate(call: Call) -> Answer:
    """GET /v5/account/fee-rate."""
    call.require_linear()
    fees = call.account.money.fees
    rows = [
        {
            "symbol": symbol,
            "takerFeeRate": plain(fees.taker),
            "makerFeeRate": plain(fees.maker),
        }
        for symbol in call.symbols(required=False)
    ]
    return Answer({"list": rows})


def transaction_log(call: Call) -> Answer:
    """GET /v5/account/transaction-log, newest first; without times the last 24 hours."""
    if call.text("category") not in ("", CATEGORY):
        call.require_linear()
    limit, after = call.limit(20, 50), call.after()
    kind, currency, base = call.text("type"), call.text("currency"), call.text("baseCoin")
    start, end = call.time_range(DAY_MS)
    account = call.account
    rows, cursor = call.listed(
        (
            (one.number, one)
            for one in reversed(account.ledger)
            if start <= one.ts_ms <= end
            and (not kind or one.kind == kind)
            and currency in ("", one.currency)
            and (not base or one.symbol.removesuffix("USDT") == base)
        ),
        lambda one: ledger_row(one, account.uid),
        limit,
        after,
    )
    return Answer({"list": rows, "nextPageCursor": cursor})


def set_limit_price_action(call: Call) -> Answer:
    """POST /v5/account/set-limit-px-action: whether a price beyond the limit is moved to it."""
    if call.text("modifyEnable") == "":
        raise parameter_error("modifyEnable is missing; it is true or false")
    if call.text("category"):
        call.require_linear()
    call.account.moves_price = call.flag("modifyEnable")
    return Answer()


def user_settings(call: Call) -> Answer:
    """GET /v5/account/user-setting-config."""
    return Answer({"lpaSpot": False, "lpaPerp": not call.account.moves_price})


def set_dcp(call: Call) -> Answer:
    """POST /v5/order/disconnected-cancel-all."""
    product = call.text("product") or "OPTIONS"
    if product != "DERIVATIVES":
        raise parameter_error(f"product {product[:20]!r} is not supported; send DERIVATIVES")
    if not call.text("timeWindow"):
        raise parameter_error("timeWindow is missing; 3 to 300 seconds")
    call.account.dcp_window_s = call.whole("timeWindow", 10, 3, 300)
    return Answer()


def dcp_info(call: Call) -> Answer:
    """GET /v5/account/query-dcp-info."""
    window = call.account.dcp_window_s
    infos = (
        []
        if window is None
        else [{"product": "DERIVATIVES", "dcpStatus": "ON", "timeWindow": str(window)}]
    )
    return Answer({"dcpInfos": infos})


def api_key_info(call: Call) -> Answer:
    """GET /v5/user/query-api: what the key may do; clients ask for it when they start."""
    account = call.account
    return Answer(
        {
            "id": str(account.uid),
            "note": account.name,
            "userID": account.uid,
            "uta": 1,
            "readOnly": int(call.key is not None and call.key.read_only),
            "isMaster": True,
            "parentUid": "0",
            "type": 1,
            "ips": ["*"],
            "permissions": {
                "ContractTrade": ["Order", "Position"],
                "Spot": [],
                "Wallet": [],
                "Options": [],
                "Derivatives": ["DerivativesTrade"],
                "Exchange": [],
            },
        }
    )


def coin_info(call: Call) -> Answer:
    """GET /v5/asset/coin/query-info: the coins of the listed contracts; nothing can be moved."""
    coins = dict.fromkeys(
        coin
        for market in call.exchange.markets.values()
        for coin in (market.listing.row["settleCoin"], market.listing.row["baseCoin"])
    )
    wanted = call.text("coin")
    chain = {
        "chainType": "PAPER",
        "chain": "PAPER",
        "confirmation": "1",
        "withdrawFee": "",
        "depositMin": "0",
        "withdrawMin": "0",
        "minAccuracy": "8",
        "chainDeposit": "0",
        "chainWithdraw": "0",
        "withdrawPercentageFee": "0",
        "contractAddress": "",
        "safeConfirmNumber": "1",
    }
    rows = [
        {"name": coin, "coin": coin, "remainAmount": "0", "chains": [chain]}
        for coin in coins
        if wanted in ("", coin)
    ]
    return Answer({"rows": rows})


def routes() -> list[Route]:
    """Return the endpoints of this module."""
    return [
        Route("GET", "/v5/position/list", positions),
        Route("POST", "/v5/position/set-leverage", set_leverage, limit=10, writes=True),
        Route("POST", "/v5/position/switch-mode", switch_mode, limit=10, writes=True),
        Route("GET", "/v5/position/closed-pnl", closed_pnl),
        Route("GET", "/v5/account/wallet-balance", wallet_balance),
        Route("GET", "/v5/account/info", account_info),
        Route("POST", "/v5/account/set-margin-mode", set_margin_mode, limit=5, writes=True),
        Route("GET", "/v5/account/fee-rate", fee_rate, limit=5),
        Route("GET", "/v5/account/transaction-log", transaction_log, limit=25),
        Route(
            "POST", "/v5/account/set-limit-px-action", set_limit_price_action, limit=10,
            writes=True,
        ),
        Route("GET", "/v5/account/user-setting-config", user_settings),
        Route("POST", "/v5/order/disconnected-cancel-all", set_dcp, limit=5, writes=True),
        Route("GET", "/v5/account/query-dcp-info", dcp_info, limit=5),
        Route("GET", "/v5/user/query-api", api_key_info, limit=10),
        Route("GET", "/v5/asset/coin/query-info", coin_info, limit=5),
    ]  # fmt: skip
