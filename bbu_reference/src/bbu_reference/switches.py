"""Where the older bot is known to be wrong or undecided, by name."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LegacySwitches:
    """Which of two readings of a disputed rule applies; the defaults are the written behaviour."""

    short_liquidation_operator_inverted: bool = False
    """True: the short leg's two liquidation rules compare with `>`, as older notes state.

    A short is liquidated above the market, so its liquidation price / last price falls towards 1
    as danger grows. With `>` the rules act on safe shorts and leave a short in danger alone.
    """

    zero_short_size_skips_rules: bool = True
    """True: without a short position no rule runs and every multiplier stays 1.

    False: the rules run with position_ratio = infinity, or 1 when there is no long either.
    """

    minimum_notional_for_closing_orders: bool = True
    """True: the 5 USDT minimum raises reduce-only orders too, though the exchange exempts them."""

    same_order_filters_swapped: bool = False
    """True: the list named long collects the short leg's fills and the other way round.

    A leg's own fills are compared with each other either way, so the error is the same.
    """

    placements_rest_within_poll: bool = True
    """True: an order placed in a poll counts as resting for the later orders of the same poll.

    False: the "identical order" and "reduce-only cover" rules see only the orders that the poll
    started with, less the cancelled ones.
    """
