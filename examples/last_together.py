"""A recommender of your own in one file: what was clicked right after the last item, most often.

Announce it in your package's pyproject.toml:

    [project.entry-points."tandem.recommenders"]
    last-together = "last_together:LastTogether"

and it takes part in `tandem recommend evaluate` and `tandem leaderboard`.
"""

import numpy as np
from scipy.sparse import csr_matrix

from tandem.recommend.models import Recommender
from tandem.recommend.sessions import Sessions


class LastTogether(Recommender):
    name = "last-together"

    def fit(self, sessions: Sessions) -> None:
        """Sessions come in order of time; items are 0 … sessions.size - 1."""
        follows = sessions.owner[1:] == sessions.owner[:-1]
        before, after = sessions.items[:-1][follows], sessions.items[1:][follows]
        ones = np.ones(before.size, np.float32)
        self.counts = csr_matrix((ones, (before, after)), (sessions.size, sessions.size))
        self.counts.sum_duplicates()

    def scores(self, prefixes: Sessions) -> csr_matrix:
        """(len(prefixes), items) scores above 0 of candidates, one row for each beginning."""
        known = np.flatnonzero(prefixes.lengths)
        last = prefixes.items[prefixes.starts[known + 1] - 1]
        ones = np.ones(known.size, np.float32)
        pick = csr_matrix((ones, (known, last)), (len(prefixes), prefixes.size))
        return (pick @ self.counts).tocsr()


if __name__ == "__main__":
    from tandem.recommend.conformance import check_recommender

    check_recommender(LastTogether)
    print("LastTogether behaves as a recommender should.")
