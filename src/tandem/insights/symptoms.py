"""What is wrong with each search: batch jobs over searches, what they showed, and the catalogue.

Written once for every engine, as `tandem.insights.jobs`. `looks` says how far shoppers look, by
place, and `products` what is sold; both are small beside the log.
"""

from __future__ import annotations

import math

import ibis
import ibis.expr.types as ir

from tandem.insights.jobs import COLUMNS, FEW, Job, job

SLOW_MS = 1_500.0  # and four times the usual wait
DEAR = math.log(1.5)  # shown prices over the category's usual ones
CART = 5  # what people engaged with says what they wanted: a cart weighs five clicks
MOST = 0.5 + 1e-9  # more than half, whichever way a sum of halves is rounded
_PARTS = 1_000_000  # looks and log prices are summed in whole millionths

COLUMNS["looks"] = ibis.schema({"position": "int64", "look": "float64"})
COLUMNS["products"] = ibis.schema(
    {
        "product": "string",
        "title": "string",
        "brand": "string",
        "category": "string",
        "price": "float64",
        "stock": "int64",
        "language": "string",
        "words": "string",
    }
)


def _heaviest(weighed: ir.Table, key: str) -> ir.Table:
    """The category with the most weight by `key`; of equal ones the last in the alphabet."""
    summed = weighed.group_by(key, "category").agg(weight=weighed.weight.sum())
    first = ibis.row_number().over(
        group_by=summed[key], order_by=[summed.weight.desc(), summed.category.desc()]
    )
    return summed.mutate(place=first).filter(lambda t: t.place == 0).select(key, "category")


def _median(values: ir.FloatingValue) -> ir.FloatingValue:
    """To six digits: engines differ in the last bit of the mean of two."""
    return values.median().round(6)


def _ratio(part: ir.IntegerValue, whole: ir.IntegerValue) -> ir.FloatingValue:
    """A share of sums of whole numbers; null where the whole is 0 or null."""
    share: ir.FloatingValue = part.fill_null(0).cast("float64") / whole.nullif(0).cast("float64")
    return share


@job
def usual(products: ir.Table) -> ir.Table:
    """The median price by category."""
    priced = products.filter(products.category.notnull() & (products.price > 0))
    return priced.group_by("category").agg(price=_median(priced.price))


@job
def engaged(shown: ir.Table, visits: ir.Table, products: ir.Table) -> ir.Table:
    """Categories of what was clicked and taken after a search, with their weight."""
    clicked = shown.filter(shown.clicked).select("query_id", "product", weight=ibis.literal(1))
    taken = visits.filter(
        visits.action.isin(("add_to_cart", "purchase")) & visits.query_id.notnull()
    ).select("query_id", "product", weight=ibis.literal(CART))
    sold = products.filter(products.category.notnull()).select("product", "category")
    found = clicked.union(taken).inner_join(sold, "product")
    return found.group_by("query_id", "category").agg(weight=found.weight.sum())


@job
def chain_category(engaged: ir.Table, searches: ir.Table) -> ir.Table:
    """The category that was wanted in a chain."""
    found = engaged.inner_join(searches.select("query_id", "chain"), "query_id")
    return _heaviest(found, "chain")


@job
def text_category(engaged: ir.Table, searches: ir.Table, chain_category: ir.Table) -> ir.Table:
    """The category that is wanted with a text: of its own clicks where there are enough, else of
    the chains that it is in."""
    asked = searches.select("query_id", "chain", "text")
    own = asked.inner_join(engaged, "query_id").select("text", "category", "weight")
    whole = asked.inner_join(chain_category, "chain")
    whole = whole.select("text", "category", weight=ibis.literal(1, "int64"))
    return _heaviest(own.union(whole), "text")


@job
def looked(
    shown: ir.Table,
    looks: ir.Table,
    searches: ir.Table,
    products: ir.Table,
    usual: ir.Table,
    text_category: ir.Table,
) -> ir.Table:
    """Of what shoppers looked at: the share without stock, the share of another category than the
    wanted one, and by how much it is dearer than usual (mean of logarithms)."""
    priced = products.left_join(usual.select("category", usual=usual.price), "category")
    priced = priced.select(
        "product",
        "category",
        stocked=priced.stock.notnull(),
        empty=priced.stock == 0,
        priced=priced.price > 0,
        over=((priced.price > 0).ifelse(priced.price, None) / priced.usual).ln(),
    )
    priced = priced.mutate(over=(priced.over * _PARTS).round().cast("int64"))
    weighed = looks.select("position", look=(looks.look * _PARTS).round().cast("int64"))
    wanted = searches.select("query_id", "text").left_join(text_category, "text")
    wanted = wanted.select("query_id", wanted=wanted.category)
    found = shown.select("query_id", "position", "product").inner_join(weighed, "position")
    found = found.inner_join(priced, "product").inner_join(wanted, "query_id")
    known = found.category.notnull()
    return found.group_by("query_id").agg(
        empty=_ratio(found.look.sum(where=found.empty), found.look.sum(where=found.stocked)),
        dear=_ratio((found.look * found.over).sum(), found.look.sum(where=found.priced)) / _PARTS,
        elsewhere=_ratio(
            found.look.sum(where=found.category != found.wanted), found.look.sum(where=known)
        ),
    )


@job
def waits(searches: ir.Table) -> ir.Table:
    """The wait from which an answer is slow."""
    usual = _median(searches.latency_ms).fill_null(0.0)
    return searches.agg(slow_ms=ibis.greatest(ibis.literal(SLOW_MS), usual * 4.0))


@job
def facts(
    searches: ir.Table,
    looked: ir.Table,
    waits: ir.Table,
    text_category: ir.Table,
    chain_category: ir.Table,
) -> ir.Table:
    """One row per search with its symptoms and its need's outcome."""
    found = searches.cross_join(waits)
    found = found.left_join(looked, "query_id").drop("query_id_right")
    by_text = text_category.select("text", of_text=text_category.category)
    by_chain = chain_category.select("chain", of_chain=chain_category.category)
    found = found.left_join(by_text, "text").drop("text_right")
    found = found.left_join(by_chain, "chain").drop("chain_right")
    return found.select(
        *("query_id", "chain", "client", "session_id", "started", "text", "turn", "results"),
        *("clicks", "carts", "purchases", "first_click", "next_text", "next_results"),
        *("recovered", "filters"),
        language=found.language.fill_null("?"),
        device=found.device.fill_null("?"),
        category=ibis.coalesce(found.of_text, found.of_chain),
        zero=found.results == 0,
        few=found.results.between(1, FEW - 1),
        slow=(found.latency_ms > found.slow_ms).fill_null(False),
        empty=(found.empty > MOST).fill_null(False),
        dear=(found.dear > DEAR).fill_null(False),
        elsewhere=(found.elsewhere > MOST).fill_null(False),
        success=found.chain_carts > 0,
        chain_sales=found.chain_sales,
    )


@job
def chains(facts: ir.Table) -> ir.Table:
    """One row per need: its outcome, and whether nothing was wrong with any of its searches."""
    ill = facts.zero | facts.few | facts.slow | facts.empty | facts.dear | facts.elsewhere
    return facts.group_by("chain").agg(
        client=facts.client.argmin(facts.turn),
        language=facts.language.argmin(facts.turn),
        device=facts.device.argmin(facts.turn),
        success=facts.success.any(),
        sales=facts.chain_sales.max(),
        category=facts.category.argmin(facts.turn, where=facts.category.notnull()),
        turn=facts.turn.min(),
        healthy=~ill.any(),
    )


SYMPTOMS: tuple[Job, ...] = (
    usual,
    engaged,
    chain_category,
    text_category,
    looked,
    waits,
    facts,
    chains,
)
