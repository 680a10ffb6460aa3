"""Which failing queries mean the same: wordings that are each too rare to be seen alone."""

from __future__ import annotations

import numpy as np

from tandem.insights.jobs import FEW
from tandem.insights.tables import TOLD, Tables
from tandem.retrieval.encoders import TextEncoder

ALIKE = 0.35
"""Mean cosine distance within a meaning, at most (average linkage)."""
MOST = 2_000
_MOSTLY = 0.75


def meanings(tables: Tables, encoder: TextEncoder) -> dict[str, str]:
    """By text, the text that stands for its meaning, for the MOST most frequent texts that mostly
    find nothing or little. What stands for a meaning is a text that enough people typed; meanings
    without one are left out.

    Average-linkage clustering of the texts' vectors (Sokal & Michener 1958), cut at ALIKE.
    """
    from scipy.cluster.hierarchy import fcluster, linkage

    rows = tables.rows(
        f"""SELECT text, count(DISTINCT client) AS clients FROM searches WHERE text <> ''
            GROUP BY text HAVING avg((results < {FEW})::INT) >= {_MOSTLY} AND clients > 1
            ORDER BY count(*) DESC, text LIMIT {MOST}"""
    )
    if len(rows) < 2:
        return {}
    vectors = encoder.encode([r["text"] for r in rows])
    groups = fcluster(linkage(vectors, "average", metric="cosine"), ALIKE, "distance")
    of: dict[str, str] = {}
    for group in np.unique(groups):
        members = [rows[i] for i in np.flatnonzero(groups == group)]
        stands = next((r["text"] for r in members if r["clients"] >= TOLD), None)
        if stands is not None and len(members) > 1:
            of |= {r["text"]: stands for r in members}
    return of
