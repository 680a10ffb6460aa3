"""The search for failures: groups of searches where something goes wrong, each explained once.

Causes are looked for from the broadest to the most specific: a device, a language, slowness, a
filter, words without results, words with few results, the wrong category, out of stock, too dear, a
bad order. What a finding explains is taken out before the next cause is looked for, so that one
broken language is not reported again as forty broken categories. What a finding needs is told in
`tandem.insights.diagnosis`.

Among the groups that were tested, Benjamini-Hochberg bounds the false discoveries at
`FALSE_DISCOVERIES`. That groups without the symptom are not tested does not spoil that: were
nothing wrong, the symptom would say nothing about the outcome (independent filtering, Bourgon,
Gentleman & Huber, PNAS 2010).
"""

from __future__ import annotations

from dataclasses import replace

from tandem.insights.diagnosis import Diagnosis
from tandem.insights.failing_everywhere import devices, languages, slow_answers, tight_filters
from tandem.insights.failing_lists import bad_order, out_of_stock, too_dear, wrong_category
from tandem.insights.failing_words import few_results, unknown_words
from tandem.insights.findings import Findings
from tandem.insights.statistics import benjamini_hochberg
from tandem.insights.tables import Tables

FALSE_DISCOVERIES = 0.05
_CAUSES = (
    devices,
    languages,
    slow_answers,
    tight_filters,
    unknown_words,
    few_results,
    wrong_category,
    out_of_stock,
    too_dear,
    bad_order,
)


def find_failures(tables: Tables) -> Findings:
    """Look for failures in loaded tables. Without a catalogue (`Tables.catalogue`) the causes that
    need one (category, stock, price) are not looked for."""
    diagnosis = Diagnosis(tables)
    about = tables.rows(
        """SELECT (SELECT count(*) FROM searches) AS searches,
                  (SELECT count(*) FROM sessions) AS sessions,
                  (SELECT min(started) FROM sessions) AS started,
                  (SELECT max(ended) FROM sessions) AS ended,
                  (SELECT mode(currency ORDER BY currency) FROM visits
                   WHERE action = 'purchase') AS currency"""
    )[0]
    candidates = diagnosis.candidates
    if about["searches"]:
        for look_for in _CAUSES:
            look_for(diagnosis)
    q_values = benjamini_hochberg([c.p_value for c in candidates])
    found = [
        replace(c.finding, q_value=q)
        for c, q in zip(candidates, q_values, strict=True)
        if c.finding is not None and q <= FALSE_DISCOVERIES
    ]
    found.sort(key=lambda f: (-(f.lost_sales.estimate if f.lost_sales else 0), f.q_value))
    return Findings(tuple(found), len(candidates), **about)
