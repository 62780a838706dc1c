"""A 64-bit digest of trade ids by column, stable across versions so that it can be stored."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

_ID_BYTES = 40  # a UUID has 36 characters, exchange sequence numbers about 10
_MULTIPLIERS = (
    0x9E3779B97F4A7C15,
    0xBF58476D1CE4E5B9,
    0x94D049BB133111EB,
    0xD6E8FEB86659FD93,
    0xA0761D6478BD642F,
)


def trade_keys(ids: pl.Series) -> NDArray[np.uint64]:
    """Return one number per id; 0 for a missing id.

    Only the first 40 bytes count. A key alone does not prove that two trades are one (64 bits and
    no cryptography): compare time, price, size and side as well.
    """
    padded = ids.fill_null("").str.pad_end(_ID_BYTES, "\0").cast(pl.Binary)
    keys = np.zeros(len(ids), np.uint64)
    for word, multiplier in enumerate(_MULTIPLIERS):
        part = padded.bin.slice(8 * word, 8).bin.reinterpret(dtype=pl.UInt64, endianness="little")
        keys += part.to_numpy() * np.uint64(multiplier)
    return keys
