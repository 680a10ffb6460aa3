"""A simulated alliance over a workspace's own catalogue: parties, content and viewers.

The products stay what they are; merchants, creators, content and viewers are invented and say so.
What they were made from is in the generations' manifests, so that the truth behind them can be had
again with `alliance_truth`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from itertools import chain

from tandem.contracts.consent import Purpose
from tandem.contracts.errors import Conflict, InvalidInput, NotFound
from tandem.contracts.events import AdmittedEvent, Pseudonym
from tandem.contracts.parties import Kind
from tandem.contracts.search import SearchRequest
from tandem.flows.alliance_books import simulate_collaborations
from tandem.flows.search import rank
from tandem.flows.workspace import open_workspace
from tandem.governance.audit import AuditLog, os_actor
from tandem.governance.consent import ConsentLedger
from tandem.governance.creators import DOMAIN
from tandem.governance.pseudonyms import Pseudonyms, open_ring
from tandem.governance.reading import EventReader
from tandem.simulate.creators import SimulatedMarket, simulated_market
from tandem.simulate.searchers import SHOWN, Answer, search_texts, simulated_searching
from tandem.simulate.viewers import SIMULATED, simulated_viewing
from tandem.storage.catalog import manifest, read_products
from tandem.storage.events import EventStore
from tandem.storage.layout import Layout
from tandem.storage.parties import generations, party_manifest, write_parties

Progress = Callable[[str, int, int | None], None]

_AT_ONCE = 5_000  # events appended, or decisions recorded, in one transaction
_AGREEING = 0.6  # of creators and viewers allow `creator_marketing`
_EVIDENCE = "simulated"
_APART = "simulate in a workspace of its own: tandem init, then import a catalogue"


@dataclass(frozen=True)
class AllianceReport:
    """What was simulated: rows of each kind. agreeing: creators shown with exact values. visits:
    of shoppers who search."""

    merchants: int
    creators: int
    agreeing: int
    content: int
    viewers: int
    visits: int
    events: int
    collaborations: int
    products: int
    seed: int
    simulated: bool = True


def simulate_alliance(
    layout: Layout,
    creators: int,
    pieces: int,
    viewers: int,
    *,
    visits: int = 0,
    collaborations: int = 0,
    seed: int = 7,
    progress: Progress = lambda *_: None,
) -> AllianceReport:
    """Simulate the parties of the live catalogue in place of those that are there.

    visits: of shoppers who search, answered by the workspace's own index. collaborations: so many,
    with orders and settlements, unless the workspace has some. Raises Conflict where real creators,
    content or events are stored: invented people do not mix with real ones. InvalidInput where no
    product has a price; NotFound where there are to be visits and there is no index.
    """
    _only_simulated(layout)
    if visits and layout.index.live() is None:
        raise NotFound(
            f"{layout.root} has no index, and shoppers would search it",
            remedy=f"build one with: tandem index -w {layout.root}, or leave the visits out",
        )
    products = [product for batch in read_products(layout) for product in batch]
    progress("market", 0, 1)
    try:
        market = simulated_market(products, creators, pieces, seed=seed)
    except ValueError as error:
        raise InvalidInput(
            f"a market cannot be simulated: {error}", remedy="import products with prices"
        ) from None
    progress("market", 1, 1)
    source = {
        "simulated": True,
        "catalog": manifest(layout).generation,
        "creators": creators,
        "pieces": pieces,
        "viewers": viewers,
        "seed": seed,
    }
    with layout.writing(), AuditLog(layout).act(os_actor(), "alliance.simulate", seed=seed):
        if market.merchants:
            write_parties(layout, "merchants", market.merchants, source)
        write_parties(layout, "creators", market.creators, source)
        write_parties(layout, "content", market.content, source)
    pseudonyms = Pseudonyms(open_ring(layout))
    agreeing = [
        pseudonyms.of(DOMAIN, creator.id)
        for i, creator in enumerate(market.creators)
        if _agrees(i, seed)
    ]
    clients = [pseudonyms.of("client", f"simulated-viewer-{seed}-{i}") for i in range(viewers)]
    _agree(layout, agreeing + [c for i, c in enumerate(clients) if _agrees(i, seed + 1)])
    searching = _searching(layout, market, visits, pseudonyms, seed) if visits else ()
    viewing = simulated_viewing(market, len(clients), clients.__getitem__, seed=seed)
    events = _store(layout, chain(viewing, searching), progress)
    begun = simulate_collaborations(layout, market, collaborations, seed=seed)
    return AllianceReport(
        len(market.merchants),
        len(market.creators),
        len(agreeing),
        len(market.content),
        viewers,
        visits,
        events,
        begun,
        len(products),
        seed,
    )


def alliance_truth(layout: Layout) -> SimulatedMarket:
    """The simulated market of a workspace again, with its truth. NotFound where there is none, or
    where the catalogue that it was made from is gone."""
    source = party_manifest(layout, "content").source
    if not source.get("simulated"):
        raise NotFound(
            "the creators of this workspace are real: nobody knows their truth",
            remedy="simulate some in another workspace: tandem alliance simulate",
        )
    products = [
        product
        for batch in read_products(layout, generation=str(source["catalog"]))
        for product in batch
    ]
    return simulated_market(
        products, int(source["creators"]), int(source["pieces"]), seed=int(source["seed"])
    )


def _only_simulated(layout: Layout) -> None:
    kinds: tuple[Kind, ...] = ("merchants", "creators", "content")
    for kind in kinds:
        stored = generations(layout, kind).live() is not None
        if stored and not party_manifest(layout, kind).simulated:
            raise Conflict(f"real {kind} are stored in {layout.root}", remedy=_APART)
    if layout.events.is_dir() and not layout.settings().simulated:
        import pyarrow.compute as pc

        with EventReader(layout, Purpose.ANALYTICS, actor=os_actor()).reading() as events:
            labels = events.table(["query_id"]).table["query_id"]
        real = pc.invert(pc.fill_null(pc.starts_with(labels, SIMULATED), False))
        if pc.any(real).as_py():
            raise Conflict(f"real events are stored in {layout.root}", remedy=_APART)


def _agrees(number: int, seed: int) -> bool:
    """A fixed share of all, without drawing: the same people in every run."""
    return (number * 2_654_435_761 + seed * 40_503) % 1_000 < 1_000 * _AGREEING


def _agree(layout: Layout, subjects: list[Pseudonym]) -> None:
    ledger = ConsentLedger(layout)
    for start in range(0, len(subjects), _AT_ONCE):
        ledger.record(
            subjects[start : start + _AT_ONCE],
            [Purpose.CREATOR_MARKETING],
            "granted",
            source=_EVIDENCE,
            evidence=_EVIDENCE,
        )


def _searching(
    layout: Layout, market: SimulatedMarket, visits: int, pseudonyms: Pseudonyms, seed: int
) -> Iterable[AdmittedEvent]:
    """What shoppers do with what the shop's own search answers them today."""
    place = {product.id: row for row, product in enumerate(market.products)}
    answers = []
    with open_workspace(layout.root) as shop:
        for text in search_texts(market, seed=seed):
            found = rank(shop.view, SearchRequest(q=text, size=SHOWN))
            ids = shop.view.snapshot.ids(found.applied.candidates.numbers[:SHOWN])
            answers.append(Answer(text, [place[id_] for id_ in ids if id_ in place], found.total))

    @cache
    def client(number: int) -> Pseudonym:
        return pseudonyms.of("client", f"simulated-shopper-{seed}-{number}")

    return simulated_searching(market, answers, visits, client, seed=seed)


def _store(layout: Layout, events: Iterable[AdmittedEvent], progress: Progress) -> int:
    store = EventStore(layout)
    rows: list[AdmittedEvent] = []
    count = 0
    try:
        for event in events:
            rows.append(event)
            if len(rows) == _AT_ONCE:
                store.append(rows)
                count += len(rows)
                rows = []
                progress("events", count, None)
        if rows:
            store.append(rows)
        store.compact()
    finally:
        store.close()
    return count + len(rows)
