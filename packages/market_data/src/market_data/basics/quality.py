"""What a reader found wrong, missing or approximate in the data it delivers."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from market_data.basics.data_errors import ImperfectDataError

US_PER_S = 1_000_000
DEFAULT_GAP_US = 300 * US_PER_S  # a busy perpetual trades every few seconds


def utc_text(ts_us: int) -> str:
    """Return microseconds since 1970 as UTC text, with as many decimals as are not zero."""
    whole, us = divmod(ts_us, US_PER_S)
    text = datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%d %H:%M:%S")
    return f"{text}.{us:06d}".rstrip("0") if us else text


@dataclass(frozen=True, slots=True, order=True)
class Gap:
    """A stretch without data: nothing is known between `from_us` and `to_us` (UTC)."""

    from_us: int
    to_us: int

    @property
    def seconds(self) -> float:
        """Return its length in seconds."""
        return (self.to_us - self.from_us) / US_PER_S

    def __str__(self) -> str:
        return f"{utc_text(self.from_us)} to {utc_text(self.to_us)} ({self.seconds:,.0f} s)"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """A file that was read, with the SHA-256 of its bytes as they lie on disk."""

    name: str
    sha256: str
    size_bytes: int
    rows: int
    newest_first: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DataQuality:
    """Counts over all sources of one set of columns. `rows_read` includes what was left out.

    `corrupt_samples` holds the first few corrupt rows in words, `approximation` says how ticks were
    made up where the data had none (empty: every tick is a trade that took place).
    """

    rows_read: int
    rows_kept: int
    out_of_order_rows: int = 0
    duplicate_rows: int = 0
    corrupt_rows: int = 0
    corrupt_samples: tuple[str, ...] = ()
    gaps: tuple[Gap, ...] = ()
    sources: tuple[SourceFile, ...] = ()
    approximation: str = ""
    notes: tuple[str, ...] = ()

    @property
    def is_clean(self) -> bool:
        """Return whether every row was whole, in order and unique, and nothing is missing."""
        return not (self.out_of_order_rows or self.duplicate_rows or self.corrupt_rows or self.gaps)

    def require_clean(self, what: str) -> None:
        """Raise ImperfectDataError if strict mode would refuse this data."""
        if not self.is_clean:
            raise ImperfectDataError(
                f"{what}: refused in strict mode: {'; '.join(self.faults())}."
                " Run without strict to use the rest, or replace the files."
            )

    def faults(self) -> list[str]:
        """Return one clause per kind of fault; empty when clean."""
        found = []
        if self.corrupt_rows:
            example = f" (first: {self.corrupt_samples[0]})" if self.corrupt_samples else ""
            found.append(f"{self.corrupt_rows:,} corrupt rows left out{example}")
        if self.out_of_order_rows:
            found.append(f"{self.out_of_order_rows:,} rows out of time order, sorted")
        if self.duplicate_rows:
            found.append(f"{self.duplicate_rows:,} duplicate rows left out")
        if self.gaps:
            longest = max(self.gaps, key=lambda gap: gap.to_us - gap.from_us)
            found.append(f"{len(self.gaps)} gaps, the longest {longest}")
        return found

    def lines(self) -> list[str]:
        """Return the whole report as text lines."""
        out = [f"{self.rows_read:,} rows read, {self.rows_kept:,} used"]
        out += self.faults() or ["no corrupt, duplicate or out-of-order row, no gap"]
        if self.approximation:
            out.append(f"approximation: {self.approximation}")
        out += self.notes
        out += [f"source {s.name} ({s.rows:,} rows, sha256 {s.sha256[:16]})" for s in self.sources]
        return out

    def with_gaps(self, gaps: Sequence[Gap]) -> "DataQuality":
        """Return the same counts with other gaps."""
        return replace(self, gaps=tuple(gaps))


CORRUPT_SAMPLES_KEPT = 5


def combine(parts: Sequence[DataQuality], *, rows_kept: int, duplicate_rows: int) -> DataQuality:
    """Return the sum over files. `duplicate_rows` counts those found between files.

    Gaps are left to the caller, who alone sees the joined time line.
    """
    samples = tuple(sample for part in parts for sample in part.corrupt_samples)
    return DataQuality(
        rows_read=sum(part.rows_read for part in parts),
        rows_kept=rows_kept,
        out_of_order_rows=sum(part.out_of_order_rows for part in parts),
        duplicate_rows=sum(part.duplicate_rows for part in parts) + duplicate_rows,
        corrupt_rows=sum(part.corrupt_rows for part in parts),
        corrupt_samples=samples[:CORRUPT_SAMPLES_KEPT],
        sources=tuple(source for part in parts for source in part.sources),
        approximation="; ".join(dict.fromkeys(p.approximation for p in parts if p.approximation)),
        notes=tuple(dict.fromkeys(note for part in parts for note in part.notes)),
    )


def quality_to_json(quality: DataQuality) -> dict[str, Any]:
    """Return a report as plain JSON values."""
    return asdict(quality)


def quality_from_json(values: Mapping[str, Any]) -> DataQuality:
    """Return the report that `quality_to_json` wrote."""
    return DataQuality(
        **{
            **values,
            "corrupt_samples": tuple(values["corrupt_samples"]),
            "notes": tuple(values["notes"]),
            "gaps": tuple(Gap(**gap) for gap in values["gaps"]),
            "sources": tuple(SourceFile(**source) for source in values["sources"]),
        }
    )
