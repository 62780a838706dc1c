"""What a comparison found: how much was compared, what differs, and under which name."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum

SHOWN_FAILURES, SHOWN_LENGTH = 10, 2000


class Deviation(Enum):
    """Every difference from the older bot that is meant, with its reason."""

    FLOAT_TIE = (
        "float noise at a rounding tie",
        "floats miss a tie that exact arithmetic sees (within 1e-15 of the value)",
    )
    FLOAT_THRESHOLD = (
        "float noise at a threshold",
        "a quotient lies exactly on a threshold; floats fall to the other side of it",
    )
    RECENTRE_OUTERMOST = (
        "re-centre starts from the outermost level",
        "a waiting level lies beyond the outermost one of the wanted side; it would be doubled",
    )
    RECENTRE_NO_ROOM = (
        "no re-centre onto an existing level",
        "one step rounds to no tick at all, so the older bot doubles a level",
    )
    GRID_REFUSED = (
        "impossible grid refused",
        "two levels coincide or one is not positive; the older bot places there all the same",
    )
    TOO_MANY_ORDERS = (
        "too many orders: nothing placed at that tick",
        "both directions are cancelled first; the older bot places at once, into the old orders",
    )
    DUPLICATES = (
        "one of several orders at a price is kept",
        "the older bot knows no duplicates; kept is side match, then partly filled, then oldest",
    )
    FILL_UPDATES_GRID = (
        "a fill updates the grid at once",
        "the older bot waits for its next poll; the next step then starts from another grid",
    )
    PLAIN_USDT = (
        "a plain amount is USDT",
        "'100' is 100 USDT per order; the older bot reads 100 coins (given b{100/price} instead)",
    )
    CLOSING_MIN_NOTIONAL = (
        "no minimum notional for closing orders",
        "the exchange exempts reduce-only orders",
    )
    OWN_MIN_NOTIONAL = (
        "the contract's own minimum notional",
        "5 USDT is a constant in the older bot",
    )
    MAX_QTY = ("cut to the contract's maximum", "the older bot is refused by the exchange instead")
    NO_WALLET = (
        "no order from an empty wallet",
        "a share of nothing is no order, not a minimum one",
    )
    SHORT_LIQUIDATION = (
        "short liquidation operator",
        "older notes compare with >, which leaves a short in danger alone (oracle switch)",
    )
    SAME_ORDER_AT_ONCE = (
        "the same-order error needs two orders that were live at once",
        "the older bot takes equal fill prices for it: of two levels, or of one placed again",
    )
    EMPTY_LEG = (
        "an empty leg",
        "a lone leg keeps its liquidation rules; the older bot skips all and doubles an empty long",
    )

    @property
    def title(self) -> str:
        """A few words."""
        return self.value[0]

    @property
    def reason(self) -> str:
        """Why it is meant."""
        return self.value[1]


# equal once both are given the same reading of the input; the other reading would differ
READINGS = frozenset(
    {Deviation.PLAIN_USDT, Deviation.FILL_UPDATES_GRID, Deviation.SHORT_LIQUIDATION}
)


@dataclass(slots=True)
class Tally:
    """One kind of comparison."""

    what: str
    compared: int = 0
    equal: int = 0
    deviations: Counter[Deviation] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def add(self, verdict: Deviation | str | None) -> None:
        """Count one comparison: equal (None), a named deviation, or an unnamed difference."""
        self.compared += 1
        if verdict is None or verdict in READINGS:
            self.equal += 1
        if isinstance(verdict, Deviation):
            self.deviations[verdict] += 1
        elif verdict is not None:
            self.failures.append(verdict)


@dataclass(slots=True)
class Report:
    """All tallies of one run."""

    seed: int
    sources: str
    tallies: list[Tally] = field(default_factory=list)

    @property
    def failures(self) -> list[str]:
        """Unnamed differences, as reproducible cases."""
        return [f"{tally.what}: {case}" for tally in self.tallies for case in tally.failures]

    @property
    def deviations(self) -> Counter[Deviation]:
        """Named deviations of all tallies."""
        return sum((tally.deviations for tally in self.tallies), Counter[Deviation]())

    def as_text(self) -> str:
        """Return the report as plain text."""
        lines = [
            "gridcore against the restatement of the older bot",
            f"seed {self.seed}; contracts: {self.sources}",
            "",
            f"{'':<32}{'compared':>10}{'equal':>10}{'named':>8}{'unnamed':>9}",
        ]
        lines += [
            f"{t.what:<32}{t.compared:>10}{t.equal:>10}"
            f"{t.deviations.total():>8}{len(t.failures):>9}"
            for t in self.tallies
        ]
        lines += ["", "named deviations"]
        for deviation in Deviation:
            count = self.deviations[deviation]
            mark = "*" if deviation in READINGS else ""
            lines += [f"{count:>10}  {deviation.title}{mark}", f"{'':>12}{deviation.reason}"]
        failures = self.failures
        lines += ["", "* equal once both are given the same reading, so counted as equal too", ""]
        if not failures:
            lines.append("no unnamed difference")
        else:
            lines.append(f"{len(failures)} UNNAMED DIFFERENCES, the first of them:")
            lines += [f"  {case[:SHOWN_LENGTH]}" for case in failures[:SHOWN_FAILURES]]
        return "\n".join(lines)
