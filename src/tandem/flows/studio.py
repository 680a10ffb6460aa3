"""The creator studio's texts for a product of a workspace."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tandem.content.briefs import make_brief, make_captions
from tandem.content.checking import check_text
from tandem.content.writing import Writer, reworded
from tandem.contracts.brief import Brief, Caption, TextReport
from tandem.contracts.errors import NotFound
from tandem.contracts.product import Product
from tandem.contracts.query_log import QueryCount
from tandem.flows.search_performance import asked_last
from tandem.flows.workspace import open_workspace
from tandem.governance.audit import os_actor
from tandem.storage.query_log import load_query_log


def brief_for(
    workspace: Path, product_id: str, writer: Writer | None = None, language: str | None = None
) -> Brief:
    """NotFound for a product that the workspace does not have. writer: a language model that
    rewords it. language: of its sentences; None: the listing's, else English."""
    product, log = _product(workspace, product_id)
    made = make_brief(product, log, language)
    return made if writer is None else reworded(made, product, writer)


def captions_for(
    workspace: Path, product_id: str, language: str | None = None
) -> tuple[Caption, ...]:
    return make_captions(*_product(workspace, product_id), language)


def check_for(workspace: Path, product_id: str, text: str, *, labelled: bool) -> TextReport:
    return check_text(text, *_product(workspace, product_id), labelled=labelled)


def _product(workspace: Path, product_id: str) -> tuple[Product, Sequence[QueryCount]]:
    with open_workspace(workspace) as shop:
        product, log = shop.product(product_id), list(load_query_log(shop.layout))
        log += (QueryCount(q, n) for q, n in asked_last(shop.layout, actor=os_actor()).items())
    if product is None:
        raise NotFound(
            f"no product '{product_id}'", remedy="search for it: tandem search WORDS -w shop"
        )
    return product, log
