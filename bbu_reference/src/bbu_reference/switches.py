"""Where the older bot is wrong, or goes by another rule than its successor, by name."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LegacySwitches:
    """Which of two rules applies; the defaults are the written behaviour of the older bot.

    Whoever compares switches a rule off where it must not stand in the way of all the others.
    """

    recentre_upwards_from_highest_sell: bool = True
    """True: moving up starts from the highest Sell, so it can double a level that waits above it,
    and without any Sell it appends a level at price 0.

    False: it starts from the outermost level whatever its side, as moving down always does.
    """

    prices_compared_as_floats: bool = True
    """True: an order is at a level when both floats are equal to the last bit. With tick 0.2 the
    level 717037.2000000001 has no order at 717037.2: it is placed, and cancelled, at every poll.

    False: two prices that agree in 8 decimals are the same.
    """

    quantity_rounded_before_multiplying: bool = True
    """True: raised to the minimum and rounded up first, then multiplied and rounded up again, so
    0.007 steps times 2 are two steps, and half of the minimum is half of the minimum.

    False: multiplied, rounded up once, and raised to the minimum last.
    """

    minimum_notional_for_closing_orders: bool = True
    """True: the minimum value raises reduce-only orders too, though the exchange exempts them."""

    other_coins_in_wallet: bool = True
    """True: a share of the wallet is one of the USDT and of what other coins are worth.

    False: of the USDT alone.
    """

    long_koef_by_position_ratio: bool = True
    """True: long_koef enlarges the orders of both legs, while 1.1 < position ratio < 10 and no leg
    has a liquidation price.

    False: it enlarges the long leg's orders, always.
    """

    checks_use_previous_check: bool = True
    """True: a position check judges by the position ratio and the short margin of the check before
    it, which are 1 at first.

    False: by the present ones.
    """

    short_rules_use_previous_short_margin: bool = True
    """True: the short leg's rules too see the short margin of the previous check.

    False: they see the present one, and only the long leg's rules the previous one. Both are
    readings of "the short margin of the previous check"; of no effect while checks do not use it.
    """

    empty_long_leg_raises: bool = True
    """True: an empty long leg whose entry price is 0 divides by it, so that the short leg's rules
    are not reached.

    False: an empty leg has no rules, and the other leg's go on.
    """

    short_liquidation_operator_inverted: bool = False
    """True: the short leg's two liquidation rules compare with `>`, as older notes state.

    A short is liquidated above the market, so its liquidation price / last price falls towards 1
    as danger grows. With `>` the rules act on safe shorts and leave a short in danger alone.
    """

    four_newest_fills_in_all: bool = True
    """True: the same-order rule remembers the four newest fills of the symbol, so four fills of
    one leg push out those of the other.

    False: it remembers the two newest of each leg.
    """

    same_order_filters_swapped: bool = False
    """True: the list named long collects the short leg's fills and the other way round.

    A leg's own fills are compared with each other either way, so the error is the same.
    """

    placements_rest_within_poll: bool = True
    """True: an order placed in a poll counts as resting for the later orders of the same poll.

    False: the "identical order" and "reduce-only cover" rules see only the orders that the poll
    started with, less the cancelled ones.
    """
