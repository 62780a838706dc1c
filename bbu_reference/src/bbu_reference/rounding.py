"""Rounding in floats, with the noise of binary fractions shed."""

import math


def shed_noise(value: float) -> float:
    """Return `value` as printed with 10 decimals: 0.30000000000000004 becomes 0.3."""
    return float(f"{value:.10f}")


def round_to_tick(price: float, tick_size: float) -> float:
    """Return `price` on the nearest multiple of `tick_size`, both in USDT; a tie goes to even."""
    return shed_noise(round(price / tick_size) * tick_size)


def ceil_to_step(qty: float, qty_step: float) -> float:
    """Return the smallest multiple of `qty_step` that is at least `qty`, both in base coin."""
    # 0.07 / 0.01 is 7.000000000000001; taken literally it would be rounded up to 0.08
    steps = float(f"{qty / qty_step:.14g}")
    return shed_noise(math.ceil(steps) * qty_step)
