"""What a comparison found: how much was compared, what differs, and under which name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum

SHOWN_FAILURES, SHOWN_LENGTH = 10, 2000


class Deviation(Enum):
    """Every difference from the older bot that is meant, with its reason.

    RULES.md lists the same titles, and a test compares the two lists.
    """

    FLOAT_TIE = (
        "float noise at a rounding tie",
        "floats miss a tie that exact arithmetic sees (within 1e-15 of the value)",
    )
    FLOAT_THRESHOLD = (
        "float noise at a threshold",
        "a quotient lies exactly on a threshold; floats fall to the other side of it",
    )
    FLOAT_PRICE = (
        "prices compared as floats",
        "the level 717037.2000000001 has no order at 717037.2: it is placed at every poll",
    )
    RECENTRE_OUTERMOST = (
        "moving up starts from the outermost level",
        "from the highest Sell, which may lie below a waiting level, that one would be doubled",
    )
    RECENTRE_NO_SELLS = (
        "a grid without Sells moves up",
        "the older bot appends a level at price 0 and dies of a division by it",
    )
    RECENTRE_NO_ROOM = (
        "no re-centre without room",
        "one step rounds to no other tick, or to zero; the older bot doubles a level",
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
    OUTSIDE_ORDER = (
        "order of cancels outside of the grid",
        "oldest first; the older bot goes through the exchange's list, which has the newest first",
    )
    FILL_UPDATES_GRID = (
        "a fill updates the grid at once",
        "the older bot waits for its next poll; the next step then starts from another grid",
    )
    LAST_FILL = (
        "the last fill is that of every execution",
        "completed orders only, and a question to REST at the start, in the older bot",
    )
    PLAIN_USDT = (
        "a plain amount is USDT",
        "'100' is 100 USDT per order, which the older bot writes b100; its 100 are coins",
    )
    BASE_COIN = (
        "b stands for base coin",
        "'b0.5' are 0.5 coins per order, which the older bot writes 0.5; its b0.5 is USDT",
    )
    ROUNDED_ONCE = (
        "quantity rounded once, minimum last",
        "the older bot rounds up before it multiplies as well, and may halve the minimum",
    )
    OTHER_COINS = (
        "a share of the wallet is one of its USDT",
        "the older bot adds what other coins are worth",
    )
    LONG_KOEF = (
        "long_koef is the long leg's, always",
        "both legs', at 1.1 < position ratio < 10 without a liquidation price, in the older bot",
    )
    CLOSING_MIN_NOTIONAL = (
        "no minimum notional for closing orders",
        "the exchange exempts reduce-only orders",
    )
    OWN_MIN_NOTIONAL = (
        "the contract's own minimum notional",
        "5 USDT is a constant in the older bot",
    )
    MAX_QTY = (
        "cut to the contract's maximum",
        "the older bot is refused by the exchange instead",
    )
    NO_WALLET = (
        "no order from an empty wallet",
        "a share of nothing is no order, not a minimum one",
    )
    PRESENT_CHECK = (
        "a position check judges what is",
        "by the position ratio and the short margin of the check before, in the older bot",
    )
    EMPTY_LONG = (
        "beside an empty long leg the short one is checked",
        "an entry price of 0 makes the older bot raise, before the short leg's rules",
    )
    SHORT_LIQUIDATION = (
        "short liquidation operator",
        "older notes compare with >, which leaves a short in danger alone (oracle switch)",
    )
    SAME_ORDER_WINDOW = (
        "the same-order error compares two fills of each leg",
        "four in all in the older bot, so that one leg's fills push out the other's",
    )
    SAME_ORDER_AT_ONCE = (
        "the same-order error needs two orders that were live at once",
        "the older bot takes equal fill prices for it: of two levels, or of one placed again",
    )

    @property
    def title(self) -> str:
        """A few words."""
        return self.value[0]

    @property
    def reason(self) -> str:
        """Why it is meant."""
        return self.value[1]


Names = tuple[Deviation, ...]
# equal (None), equal but for what has names, or an unnamed difference in words
Verdict = Names | str | None

# equal once both are given the same reading of the input; the other reading would differ
READINGS = frozenset(
    {
        Deviation.PLAIN_USDT,
        Deviation.BASE_COIN,
        Deviation.FILL_UPDATES_GRID,
        Deviation.SHORT_LIQUIDATION,
    }
)


def least(
    names: Sequence[Deviation], suffices: Callable[[frozenset[Deviation]], bool]
) -> Names | None:
    """Return the fewest of `names` whose rules have to be switched off for both to be equal.

    `suffices` tells whether they are with those names switched off. None when they are not even
    with all of them.
    """
    if suffices(frozenset()):
        return ()
    needed = frozenset(names)
    if not suffices(needed):
        return None
    for name in names:
        if suffices(needed - {name}):
            needed -= {name}
    return tuple(name for name in names if name in needed)


def joined(*verdicts: Verdict) -> Verdict:
    """Return one verdict of several: the first difference without a name, else all names."""
    names: dict[Deviation, None] = {}
    for verdict in verdicts:
        if isinstance(verdict, str):
            return verdict
        names.update(dict.fromkeys(verdict or ()))
    return tuple(names) or None


@dataclass(slots=True)
class Tally:
    """One kind of comparison."""

    what: str
    unit: str = ""  # of what is compared
    compared: int = 0
    equal: int = 0
    named: int = 0
    deviations: Counter[Deviation] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def add(self, verdict: Verdict) -> None:
        """Count one comparison: equal (None), with named deviations, or an unnamed difference."""
        self.compared += 1
        if isinstance(verdict, str):
            self.failures.append(verdict)
            return
        names = verdict or ()
        if READINGS.issuperset(names):
            self.equal += 1
        self.named += bool(names)
        self.deviations.update(names)

    def join(self, other: Tally) -> None:
        """Take in another part of the same kind."""
        self.compared += other.compared
        self.equal += other.equal
        self.named += other.named
        self.deviations += other.deviations
        self.failures += other.failures


@dataclass(slots=True)
class Report:
    """All tallies of one run."""

    seed: int
    sources: str
    tallies: list[Tally] = field(default_factory=list)
    is_whole: bool = False  # large enough for every name to occur

    @property
    def failures(self) -> list[str]:
        """Unnamed differences, as reproducible cases."""
        return [f"{tally.what}: {case}" for tally in self.tallies for case in tally.failures]

    @property
    def deviations(self) -> Counter[Deviation]:
        """Named deviations of all tallies."""
        return sum((tally.deviations for tally in self.tallies), Counter[Deviation]())

    @property
    def unseen(self) -> list[Deviation]:
        """Names that no difference of a whole run has: a side has changed, or the name is wrong."""
        return [one for one in Deviation if self.is_whole and not self.deviations[one]]

    @property
    def compared(self) -> Counter[str]:
        """How much was compared, by unit."""
        units: Counter[str] = Counter()
        for tally in self.tallies:
            units[tally.unit] += tally.compared
        return units

    def as_text(self) -> str:
        """Return the report as plain text."""
        lines = [
            "gridcore against the restatement of the older bot",
            f"seed {self.seed}; contracts: {self.sources}",
            "",
            f"{'':<34}{'compared':>10}{'equal':>10}{'named':>8}{'unnamed':>9}",
        ]
        lines += [
            f"{t.what:<34}{t.compared:>10}{t.equal:>10}{t.named:>8}{len(t.failures):>9}"
            for t in self.tallies
        ]
        lines += ["", ", ".join(f"{count} {unit}" for unit, count in self.compared.items())]
        lines += ["", "named deviations, and in how many comparisons"]
        for deviation in Deviation:
            count = self.deviations[deviation]
            mark = "*" if deviation in READINGS else ""
            lines += [f"{count:>10}  {deviation.title}{mark}", f"{'':>12}{deviation.reason}"]
        failures = self.failures
        lines += ["", "* equal once both are given the same reading, so counted as equal too", ""]
        lines += [f"A NAME WITHOUT A DIFFERENCE: {one.title}" for one in self.unseen]
        if not failures:
            lines.append("no unnamed difference")
        else:
            lines.append(f"{len(failures)} UNNAMED DIFFERENCES, the first of them:")
            lines += [f"  {case[:SHOWN_LENGTH]}" for case in failures[:SHOWN_FAILURES]]
        return "\n".join(lines)
