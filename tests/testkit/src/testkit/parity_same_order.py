"""The same-order error, execution by execution."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import timedelta

from bbu_reference.same_order import Execution as OracleExecution
from bbu_reference.same_order import SameOrderGuard
from bbu_reference.switches import LegacySwitches
from gridcore import DirectionType, FilledOrder, SameOrderDetector, SideType, direction_of
from testkit.builders import START
from testkit.parity_report import Deviation, Names, Verdict
from testkit.parity_world import wire_side

TWO_OF_EACH_LEG = LegacySwitches(four_newest_fills_in_all=False)


def compare_same_order(rng: random.Random, count: int) -> Iterator[Verdict]:
    """Yield one verdict for each execution of a random sequence with many near-duplicates.

    Orders have a price of their own and fill at it or, crossing on arrival, at another; some are
    placed beside a live one, some after it. The older bot sees fill prices alone.
    """
    core = SameOrderDetector()
    written, two_each = SameOrderGuard(), SameOrderGuard(TWO_OF_EACH_LEG)
    newest: dict[DirectionType, list[FilledOrder]] = {leg: [] for leg in DirectionType}
    one_sided = rng.random()  # now and then one leg fills many times in a row
    for number in range(count):
        side, closing = rng.choice(list(SideType)), rng.random() < 0.5
        if one_sided < 0.5 and number % 12 < 6:
            side, closing = SideType.BUY, False
        order_price = rng.choice(("100", "101"))
        price = order_price if rng.random() < 0.8 else "100.0"
        order_id = f"o{rng.randint(1, 6)}"
        ended = START + timedelta(seconds=number)
        started = ended - timedelta(seconds=rng.choice((0, 1, 2, 5)))
        leg = direction_of(side, closing=closing)
        leaves = "1" if rng.random() < 0.2 else "0"
        if leaves == "0":
            order = FilledOrder(order_id, f"{side} {order_price}", started, ended)
            core.add(leg, order)
            newest[leg] = [order, *newest[leg][:1]]
        execution = OracleExecution(
            order_id=order_id,
            side=wire_side(side),
            price=float(price),
            closing=closing,
            leaves_qty=float(leaves),
            exec_type="Trade",
        )
        found = {guard.on_execution(execution) for guard in (written, two_each)}
        at_once = any(_lived_at_once(*pair) for pair in newest.values() if len(pair) == 2)
        if core.is_set != at_once:
            yield f"execution {number}: {core.is_set}, but {at_once} of {newest}"
        elif core.is_set == written.error:
            yield None
        else:
            names: Names = () if len(found) == 1 else (Deviation.SAME_ORDER_WINDOW,)
            if core.is_set != two_each.error:
                names += (Deviation.SAME_ORDER_AT_ONCE,)
            yield names


def _lived_at_once(one: FilledOrder, other: FilledOrder) -> bool:
    if one.order_id == other.order_id or one.identity != other.identity:
        return False
    if one.started is None or other.started is None:
        return True
    return not (one.ended <= other.started or other.ended <= one.started)
