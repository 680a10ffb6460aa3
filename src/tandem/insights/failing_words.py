"""Causes in what was typed: words and whole queries with no or few results. What shoppers try
instead says whether it is a slip, another name, or something that the shop lacks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from tandem.contracts.insight import Cause
from tandem.insights.diagnosis import AFFECTED, MIN_CLIENTS, MIN_SEARCHES, Diagnosis, stated
from tandem.insights.evidence import quoted
from tandem.insights.findings import Fix, Group
from tandem.insights.jobs import FEW

# A second try helps if it succeeds this much as often as healthy needs: with another word, and
# with the word left out, which also those try who are content with less.
_HELPED, _HELPED_ALONE = 0.6, 0.85
_MOSTLY = 0.75  # share of a known word's searches with the symptom that make the word the reason
_ALONE = 0.95  # share of a word's searches with one text, from which that text is meant


@dataclass(frozen=True)
class _Tried:
    """What shoppers wrote instead: the share of second tries, and how many of those helped."""

    phrase: str
    meant: str
    share: float
    helped: float


def unknown_words(diagnosis: Diagnosis) -> None:
    """Words that the catalogue does not have, in searches without results."""
    diagnosis.tables.db.execute("""
        CREATE OR REPLACE TEMP TABLE words AS
        SELECT DISTINCT query_id, word FROM (
            SELECT query_id,
                   unnest(regexp_split_to_array(text, '[^\\p{L}\\p{N}]+')) AS word FROM facts
        ) WHERE word <> '' AND len(word) > 1
    """)
    for row in _words_with(diagnosis, "zero", unknown=True):
        _word(diagnosis, row, "zero", unknown=True)
    # Known words, and no result all the same: the combination is not sold, or not found.
    for row in _words_with(diagnosis, "zero", unknown=False):
        _word(diagnosis, row, "zero")
    _whole_queries(diagnosis, "zero")
    _meanings(diagnosis, "zero")


def few_results(diagnosis: Diagnosis) -> None:
    for row in _words_with(diagnosis, "few", unknown=False):
        _word(diagnosis, row, "few")
    _whole_queries(diagnosis, "few")
    _meanings(diagnosis, "few")


def _whole_queries(diagnosis: Diagnosis, symptom: str) -> None:
    """Queries that have the symptom though each of their words alone has not."""
    rows = diagnosis.tables.rows(
        f"""SELECT text, count(DISTINCT client) AS clients FROM open
            WHERE len(filters) = 0 AND text <> '' GROUP BY text
            HAVING count(*) FILTER ({symptom}) >= {_MOSTLY} * count(*)
               AND count(*) >= {MIN_SEARCHES} AND clients >= {MIN_CLIENTS}
            ORDER BY count(*) DESC, text"""
    )
    for row in rows:
        _unanswered(
            diagnosis, f"len(filters) = 0 AND text = {quoted(row['text'])}", row["text"], symptom
        )


def _words_with(diagnosis: Diagnosis, symptom: str, unknown: bool) -> list[dict[str, Any]]:
    """Words most of whose searches have the symptom, the most frequent first."""
    return diagnosis.tables.rows(
        f"""SELECT word, count(*) AS n, count(*) FILTER ({symptom}) AS k,
                   count(DISTINCT client) AS clients
            FROM words JOIN open USING (query_id)
            WHERE len(filters) = 0 AND word {"NOT " if unknown else ""}IN (FROM known)
            GROUP BY word
            HAVING n >= {MIN_SEARCHES} AND clients >= {MIN_CLIENTS}
               AND k >= {AFFECTED if unknown else _MOSTLY} * n
            ORDER BY k DESC, word"""
    )


def _meanings(diagnosis: Diagnosis, symptom: str) -> None:
    """Queries that mean the same and have the symptom, each too rare to be seen alone. Needs
    `Tables.meanings`."""
    if not diagnosis.tables.rows("SELECT 1 FROM duckdb_tables() WHERE table_name = 'meanings'"):
        return
    rows = diagnosis.tables.rows(
        f"""SELECT meaning, count(*) AS n, count(*) FILTER ({symptom}) AS k,
                   count(DISTINCT client) AS clients, count(DISTINCT text) AS texts
            FROM open JOIN meanings USING (text) WHERE len(filters) = 0 GROUP BY meaning
            HAVING n >= {MIN_SEARCHES} AND clients >= {MIN_CLIENTS} AND texts > 1
               AND k >= {_MOSTLY} * n
            ORDER BY k DESC, meaning"""
    )
    for row in rows:
        meaning = row["meaning"]
        where = (
            "len(filters) = 0 AND text IN (SELECT text FROM meanings"
            f" WHERE meaning = {quoted(meaning)})"
        )
        texts = [
            r["text"]
            for r in diagnosis.tables.rows(
                f"SELECT text FROM open JOIN told USING (text) WHERE {where}"
                " GROUP BY text ORDER BY count(*) DESC, text"
            )
        ]
        also = f"'{meaning}' and what means the same"
        often = f"{row['k'] / row['n']:.0%} of these searches, in {row['texts']} wordings, have "
        often += "no result" if symptom == "zero" else f"fewer than {FEW} results"
        meant = _tried_instead(diagnosis, where, symptom)
        cause: Cause = "missing_product"
        fix = Fix(
            "supply_gap",
            f"Shoppers look for {also}, and the shop has none: find a supplier",
            {"wanted": meaning, "wordings": texts, "searches": row["k"]},
        )
        title = f"{also} are wanted and not to be had"
        why = f"{often}, and nothing else that shoppers try helps."
        if meant is not None:
            cause = "vocabulary_gap" if symptom == "zero" else "missing_synonym"
            words = ", ".join([*texts, meant.meant])
            fix = Fix(
                "synonym",
                f"Let {also} also find '{meant.meant}'",
                {"rule": words, "phrase": meaning, "meant": meant.meant},
            )
            title = f"{also} are not understood as '{meant.meant}'"
            why = (
                f"{often}; {meant.share:.0%} of those who try again write '{meant.meant}', "
                f"and {meant.helped:.0%} of them find something."
            )
        group = Group(meaning=meaning, language=diagnosis.language(where))
        diagnosis.compare(cause, group, where, symptom, title, why, fix)


def _tried_instead(diagnosis: Diagnosis, where: str, symptom: str) -> _Tried | None:
    """The text that shoppers type next and find more with, where one stands out and helps."""
    rows = diagnosis.tables.rows(
        f"""SELECT next_text, count(*) AS n, count(*) FILTER (recovered) AS helped,
                   sum(count(*)) OVER () AS total
            FROM open WHERE {where} AND {symptom} AND next_text IS NOT NULL
              AND next_results > results AND next_text IN (FROM told)
            GROUP BY next_text ORDER BY helped DESC, next_text LIMIT 1"""
    )
    if not rows:
        return None
    (r,) = rows
    if r["n"] < 5 or r["n"] < 0.3 * r["total"] or r["helped"] < _HELPED * diagnosis.rate * r["n"]:
        return None
    return _Tried("", r["next_text"], r["n"] / r["total"], r["helped"] / r["n"])


def _word(diagnosis: Diagnosis, row: dict[str, Any], symptom: str, unknown: bool = False) -> None:
    word = row["word"]
    where = (
        f"len(filters) = 0 AND query_id IN (SELECT query_id FROM words WHERE word = {quoted(word)})"
    )
    # A word of one query says less than the query.
    texts = diagnosis.tables.rows(
        f"""SELECT text FROM open WHERE {where} GROUP BY text
            QUALIFY count(*) >= {_ALONE} * sum(count(*)) OVER ()"""
    )
    if texts:
        _unanswered(
            diagnosis,
            f"{where} AND text = {quoted(texts[0]['text'])}",
            texts[0]["text"],
            symptom,
            unknown,
        )
    else:
        _unanswered(diagnosis, where, word, symptom, unknown, Group(words=word))


def _unanswered(
    diagnosis: Diagnosis,
    where: str,
    word: str,
    symptom: str,
    unknown: bool = False,
    group: Group | None = None,
) -> None:
    """Searches for `word` (a word in them, or without a group the whole text) with no or few
    results: what shoppers do then says whether it is a slip, another name, or lacking."""
    # Earlier words may have explained some of these searches.
    now = diagnosis.tables.rows(
        f"""SELECT count(*) AS n, count(*) FILTER ({symptom}) AS k,
                   count(DISTINCT client) AS clients,
                   mode(language ORDER BY language) AS language FROM open WHERE {where}"""
    )[0]
    if now["n"] < MIN_SEARCHES or now["clients"] < MIN_CLIENTS:
        return
    tried = _replacement(diagnosis, word, where, symptom)
    group = replace(group or Group(text=word), language=stated(now["language"]))
    often = f"{now['k'] / now['n']:.0%} of these searches have "
    often += "no result" if symptom == "zero" else f"fewer than {FEW} results"
    cause: Cause
    if tried is None:
        cause, fix = (
            "missing_product",
            Fix(
                "supply_gap",
                f"Shoppers look for '{word}' and the shop has none: find a supplier",
                {"wanted": word, "searches": now["k"]},
            ),
        )
        title = f"'{word}' is wanted and not to be had"
        why = f"{often}, and nothing else that shoppers try helps."
    else:
        phrase, meant = tried.phrase, tried.meant
        fix = Fix(
            "synonym",
            f"Let '{phrase}' also find '{meant}'",
            {"rule": f"{phrase} => {phrase}, {meant}", "phrase": phrase, "meant": meant},
        )
        title = f"'{phrase}' is not understood as '{meant}'"
        why = (
            f"{often}; {tried.share:.0%} of those who try again write '{meant}' instead, and "
            f"{tried.helped:.0%} of them find something."
        )
        if unknown and _slip(phrase, meant):
            cause = "misspelling"
            title = f"'{phrase}' is a slip for '{meant}' and is not corrected"
        else:
            cause = "vocabulary_gap" if symptom == "zero" else "missing_synonym"
    diagnosis.compare(
        cause,
        group,
        where,
        symptom,
        title,
        why,
        fix,
    )


def _replacement(diagnosis: Diagnosis, word: str, where: str, symptom: str) -> _Tried | None:
    """The phrase that shoppers write in a word's place and find more with, where one stands
    out and helps as much as searches do elsewhere, nearly."""
    rows = diagnosis.tables.rows(
        f"""SELECT text, next_text, count(*) AS n, count(*) FILTER (recovered) AS helped
            FROM open WHERE {where} AND {symptom} AND next_text IS NOT NULL
              AND next_results > results
            GROUP BY ALL ORDER BY ALL"""
    )
    total = sum(r["n"] for r in rows)
    by_phrase: dict[tuple[str, str], list[int]] = {}
    for r in rows:
        had, has = r["text"].split(), r["next_text"].split()
        if word in has or r["next_text"] == r["text"]:
            continue
        fresh = " ".join(w for w in has if w not in had)
        gone = " ".join(w for w in had if w not in has)
        # 'digital camera', then 'camera': a word was given up, what stayed is what was meant.
        swap = (gone, fresh) if fresh else (r["text"], r["next_text"])
        counts = by_phrase.setdefault(swap, [0, 0])
        counts[0] += r["n"]
        counts[1] += r["helped"]
    if not by_phrase:
        return None
    (phrase, meant), (n, helped) = max(by_phrase.items(), key=lambda item: (item[1][0], item[0]))
    fewer = set(meant.split()) <= set(phrase.split())
    enough = _HELPED_ALONE if fewer else _HELPED
    if n < 5 or n < 0.3 * total or helped < enough * diagnosis.rate * n:
        return None
    return _Tried(phrase, meant, n / total, helped / n)


def _slip(word: str, instead: str) -> bool:
    """Whether a phrase is the word with a slip or two (optimal string alignment)."""
    from rapidfuzz.distance import OSA

    allowed = 1 if len(word) < 6 else 2
    return any(OSA.distance(word, w) <= allowed for w in (*instead.split(), instead))
