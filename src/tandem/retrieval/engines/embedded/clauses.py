"""Queries and filters in tantivy's terms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from math import comb, isfinite
from typing import Any

import tantivy
from tantivy import FieldType, Occur, Query

from tandem.contracts.product import AttributeValue
from tandem.contracts.search import Filters, Term
from tandem.features.evidence import FIELD_WEIGHTS
from tandem.retrieval.engines.embedded.schema import (
    EXACT,
    POOLED,
    attribute_path,
    marked,
    text_field,
)
from tandem.retrieval.port import LexicalQuery

MAX_CONJUNCTIONS = 6
MIN_FUZZY = 4  # shorter words have too many neighbours


def words(schema: tantivy.Schema, query: LexicalQuery) -> Query:
    """The scored part of a lexical query, exclusions included.

    When any term will do, everything is one flat union of term queries, which tantivy can cut
    short (block-max WAND); forms of a term then add up, where otherwise the best one counts.
    """
    fields = _fields(query)
    if query.minimum_match <= 1 and not query.fuzzy:
        clauses = [
            (Occur.Should, _boosted(Query.term_query(schema, f, form), boost * t.weight))
            for t in (*query.terms, *query.expansions)
            for form in t.forms
            for f, boost in fields.items()
        ]
        scored = Query.boolean_query(clauses) if clauses else Query.empty_query()
    else:
        required = [(Occur.Should, _any_form(schema, t, fields, query.fuzzy)) for t in query.terms]
        core = Query.boolean_query(required, minimum_number_should_match=query.minimum_match)
        extra = [
            (Occur.Should, _any_form(schema, t, fields, 0)) for t in query.expansions if t.forms
        ]
        scored = Query.boolean_query([(Occur.Must, core), *extra]) if extra else core
    phrase = _phrase(schema, query)
    parts = [(Occur.Must, scored)]
    if phrase is not None:
        parts.append((Occur.Should, phrase))
    for term in query.excluded:
        parts += [(Occur.MustNot, clause) for clause in _each(schema, term, fields)]
    return scored if len(parts) == 1 else Query.boolean_query(parts)


def condition(schema: tantivy.Schema, query: LexicalQuery) -> Query:
    """The products that `words` finds, without scores, as counting and sorting need them.

    "All but one of these" is asked as a union of conjunctions where they are few: tantivy skips
    through those, while it walks through every posting of a union that counts its matches.
    """
    n, required = len(query.terms), query.minimum_match
    if required <= 1 or query.fuzzy or comb(n, required) > MAX_CONJUNCTIONS:
        scored = words(schema, replace(query, phrase_boost=0.0))
    else:
        fields = _fields(query)
        terms = [(Occur.Must, _any_form(schema, t, fields, 0)) for t in query.terms]
        ways = [Query.boolean_query(list(some)) for some in combinations(terms, required)]
        scored = Query.boolean_query([(Occur.Should, way) for way in ways])
        excluded = [
            (Occur.MustNot, c) for term in query.excluded for c in _each(schema, term, fields)
        ]
        if excluded:
            scored = Query.boolean_query([(Occur.Must, scored), *excluded])
    return Query.const_score_query(scored, 1.0)


def _each(schema: tantivy.Schema, term: Term, fields: dict[str, float]) -> list[Query]:
    return [Query.term_query(schema, f, form) for form in term.forms for f in fields]


def _fields(query: LexicalQuery) -> dict[str, float]:
    """The fields to search, with boosts: the pooled one for the boosts that it was made of."""
    if query.field_boosts == FIELD_WEIGHTS:
        return {POOLED: 1.0}
    return {text_field(name): boost for name, boost in query.field_boosts.items() if boost > 0}


def _boosted(query: Query, boost: float) -> Query:
    return query if boost == 1 else Query.boost_query(query, boost)


def _any_form(schema: tantivy.Schema, term: Term, fields: dict[str, float], fuzzy: int) -> Query:
    clauses = []
    for field, boost in fields.items():
        forms = [Query.term_query(schema, field, form) for form in term.forms]
        if fuzzy and len(term.text) >= MIN_FUZZY:
            forms += [
                Query.fuzzy_term_query(schema, field, form, distance=fuzzy, prefix=False)
                for form in term.forms
            ]
        if forms:
            one = forms[0] if len(forms) == 1 else Query.disjunction_max_query(forms)
            clauses.append((Occur.Should, _boosted(one, boost * term.weight)))
    return Query.boolean_query(clauses) if clauses else Query.empty_query()


def _phrase(schema: tantivy.Schema, query: LexicalQuery) -> Query | None:
    """All terms near each other in the title, in order; for queries of two words and more."""
    if query.phrase_boost <= 0 or len(query.terms) < 2:
        return None
    first_forms: list[Any] = [t.forms[0] for t in query.terms if t.forms]
    if len(first_forms) < 2:
        return None
    near = Query.phrase_query(schema, text_field("title"), first_forms, slop=2)
    return _boosted(near, query.phrase_boost)


def conditions(
    schema: tantivy.Schema, filters: Filters, facet: str | None = None
) -> list[tuple[Occur, Query]]:
    """Filters as clauses that do not score, without the own condition of `facet`."""
    clauses: list[tuple[Occur, Query]] = []
    for name, field in EXACT.items():
        values = getattr(filters, name)
        if values and name != facet:
            query = Query.term_set_query(schema, field, list(values))
            clauses.append((Occur.Must, Query.const_score_query(query, 0.0)))
    for key, wanted in filters.attributes.items():
        # An attribute that is called like an exact field has no facet of its own.
        if wanted and (key != facet or key in EXACT):
            query = _attribute(schema, key, wanted)
            clauses.append((Occur.Must, Query.const_score_query(query, 0.0)))
    ranges = (
        ("price", filters.price_min, filters.price_max),
        ("rating", filters.rating_min, None),
    )
    for name, low, high in ranges:
        if low is not None or high is not None:
            query = Query.range_query(
                schema,
                name,
                FieldType.Float,
                lower_bound=None if low is None else float(low),
                upper_bound=None if high is None else float(high),
            )
            clauses.append((Occur.Must, Query.const_score_query(query, 0.0)))
    if filters.in_stock:
        clauses.append((Occur.MustNot, Query.term_query(schema, "sold_out", True)))
    return clauses


def narrows(filters: Filters, facet: str) -> bool:
    """Whether the filters hold a condition of the facet's own."""
    return bool(getattr(filters, facet) if facet in EXACT else filters.attributes.get(facet))


def _attribute(schema: tantivy.Schema, key: str, wanted: Sequence[AttributeValue]) -> Query:
    values = [
        marked(reading) if isinstance(reading, str) else reading
        for value in wanted
        for reading in readings(value)
    ]
    path = attribute_path(key)
    any_of = [Query.term_query(schema, path, v, index_option="basic") for v in values]
    return Query.boolean_query([(Occur.Should, query) for query in any_of])


def readings(value: AttributeValue) -> list[AttributeValue]:
    """What a filter value may mean: a form or an address bar can only send text."""
    if isinstance(value, bool):
        return [value]
    if isinstance(value, int | float):
        return [float(value)]
    either: list[AttributeValue] = [value]
    if value.lower() in ("true", "false"):
        either.append(value.lower() == "true")
    try:
        number = float(value)
    except ValueError:
        return either
    return [*either, number] if isfinite(number) else either


def combined(scored: Query | None, filters: list[tuple[Occur, Query]]) -> Query:
    """A scored query (None: everything) under filters."""
    if not filters:
        return Query.all_query() if scored is None else scored
    return Query.boolean_query([(Occur.Must, scored or Query.all_query()), *filters])
