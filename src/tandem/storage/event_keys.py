"""Which events are known: sorted runs of 128-bit keys on disk, a small log-structured merge tree.

An event that is sent again has to be recognised years later, among far more keys than fit into
memory. Random keys in a B-tree would touch one page each; a sorted run is mapped and searched by
bisection. Runs of like size are merged, so that a few of them hold everything (O'Neil et al.,
"The log-structured merge-tree", 1996).
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# A merge holds both runs and their union in memory: 16 bytes a key.
MOST_IN_A_RUN = 16_000_000


class KeyRun:
    """One immutable file of n distinct keys: two rows of n big halves and small halves, sorted."""

    def __init__(self, path: Path) -> None:
        import numpy as np

        self.path = path
        self.keys: NDArray[np.uint64] = np.load(path, mmap_mode="r", allow_pickle=False)

    def __len__(self) -> int:
        return int(self.keys.shape[1])

    def holds(self, wanted: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """For each of m keys, shape (2, m), whether the run has it."""
        import numpy as np

        high, low = self.keys
        found = np.zeros(wanted.shape[1], bool)
        place = np.searchsorted(high, wanted[0])
        open_ = np.flatnonzero(place < len(high))
        while len(open_):
            # Two keys with equal first halves are next to each other: look on while they are.
            open_ = open_[high[place[open_]] == wanted[0][open_]]
            found[open_] |= low[place[open_]] == wanted[1][open_]
            open_ = open_[~found[open_]]
            place[open_] += 1
            open_ = open_[place[open_] < len(high)]
        return found


def packed(keys: Iterable[bytes]) -> NDArray[np.uint64]:
    """Keys of 16 bytes as an array of shape (2, n): big halves, small halves."""
    import numpy as np

    joined = np.frombuffer(b"".join(keys), ">u8").astype(np.uint64)
    return np.ascontiguousarray(joined.reshape(-1, 2).T)


def write_run(folder: Path, parts: Sequence[NDArray[np.uint64]]) -> Path:
    """Write the union of distinct keys as a new run, durable on return."""
    import numpy as np

    keys = np.concatenate(parts, axis=1) if len(parts) > 1 else parts[0]
    keys = keys[:, np.lexsort((keys[1], keys[0]))]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{secrets.token_hex(8)}.npy"
    with path.open("xb") as handle:
        np.save(handle, keys, allow_pickle=False)
        handle.flush()
        os.fsync(handle.fileno())
    return path


def to_merge(sizes: Sequence[int], most: int = MOST_IN_A_RUN) -> int:
    """How many of the newest files (last in `sizes`) to merge into the one being added.

    A run is merged while it is at most twice as large as what comes on top of it: the number of
    runs grows with the logarithm of the number of keys, and each key is rewritten as often.
    """
    merged, total = 0, sizes[-1]
    for size in reversed(sizes[:-1]):
        if size > 2 * total or size + total > most:
            break
        merged, total = merged + 1, total + size
    return merged
