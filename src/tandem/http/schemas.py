"""Requests and responses that exist only over HTTP; all others are the contracts' own."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    SkipValidation,
    StringConstraints,
    model_validator,
)

from tandem.contracts.errors import InvalidInput
from tandem.contracts.events import EventOutcome, Record
from tandem.contracts.experiment import ExperimentStanding, Variant
from tandem.contracts.listing import Standing
from tandem.contracts.product import AttributeValue, Product, ProductId
from tandem.contracts.recommend import (
    MAX_RECENT,
    MAX_RECOMMENDED,
    Interest,
    Kind,
    RecommendRequest,
    Visit,
    Visitor,
)
from tandem.contracts.registry import Artefact, RegisteredModel
from tandem.contracts.running import Name
from tandem.contracts.search import (
    MAX_DEPTH,
    MAX_PAGE_SIZE,
    MAX_QUERY,
    Filters,
    SearchRequest,
    SearchResponse,
    Sort,
    Suggestion,
)
from tandem.contracts.slot import (
    BanditKind,
    RewardAction,
    SlotArm,
    SlotGuardrails,
    SlotStanding,
    Where,
)

MAX_FILTER_VALUES = 200
MAX_COMPARED = 4

ShortText = Annotated[str, StringConstraints(max_length=MAX_QUERY)]
RankerName = Annotated[str, StringConstraints(min_length=1, max_length=64)]
_REQUEST_FIELDS = tuple(SearchRequest.model_fields)


class Message(BaseModel):
    """Strict at the door: a misspelt field is an error, not a silent default."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class PersonalisationContext(Message):
    """Who is asking. `client_id` finds what a visitor allowed to keep, under a pseudonym;
    `recent_products` is this session so far. Nothing of it is stored by asking, and none of it is
    used where the request says Do Not Track or Global Privacy Control."""

    client_id: str | None = Field(default=None, max_length=128)
    session_id: str | None = Field(default=None, max_length=128)
    segments: tuple[ShortText, ...] = Field(default=(), max_length=32)
    recent_products: tuple[ProductId, ...] = Field(default=(), max_length=50)
    locale: str | None = Field(default=None, pattern=r"^[a-z]{2,3}(-[A-Z]{2})?$")
    personal: bool = Field(
        default=True, description="False asks for the list that everybody gets; nothing is read"
    )


class SearchBody(SearchRequest):
    """Body of `POST /v1/search`."""

    context: PersonalisationContext | None = Field(
        default=None,
        description="Who is asking: a client who allows personalisation gets a list of his own; "
        "everybody else gets the same one. It also decides, under a pseudonym, which variant of "
        "a running experiment answers. Never stored by asking",
    )

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"q": "bluetooth speaker", "facets": ["brand", "category"], "size": 20},
                {
                    "q": "laptop under 500 eur",
                    "filters": {"brand": ["HP", "Lenovo"], "price_max": "500"},
                    "sort": "price_asc",
                    "explain": True,
                },
            ]
        }
    )

    def request(self) -> SearchRequest:
        """What the shop is asked. InvalidInput when it is beyond what one search may cost."""
        request = SearchRequest.model_construct(
            **{name: getattr(self, name) for name in _REQUEST_FIELDS}
        )
        return bounded(request)


class SearchQuery(Message):
    """Query string of `GET /v1/search`: the same search, easy to type and to link to."""

    q: str = Field(default="", max_length=MAX_QUERY, examples=["bluetooth speaker"])
    brand: list[ShortText] = Field(default=[], description="Repeat for alternatives")
    merchant: list[ShortText] = []
    category: list[ShortText] = Field(default=[], description="Path joined by ' > '")
    product_language: list[ShortText] = Field(
        default=[], description="Only products described in this language"
    )
    attribute: list[ShortText] = Field(
        default=[], description="`name:value`; repeat for alternatives", examples=[["color:Black"]]
    )
    price_min: Decimal | None = Field(default=None, ge=0, le=10**15)
    price_max: Decimal | None = Field(default=None, ge=0, le=10**15)
    rating_min: float | None = Field(default=None, ge=0, le=5)
    in_stock: bool | None = None
    facets: list[ShortText] = Field(
        default=[],
        description="Names, repeated or separated by commas",
        examples=[["brand,category"]],
    )
    sort: Sort = Sort.RELEVANCE
    page: int = Field(default=1, ge=1, le=MAX_DEPTH)
    size: int = Field(default=20, ge=1, le=MAX_PAGE_SIZE)
    ranker: RankerName | None = Field(default=None, examples=["bm25"])
    language: str | None = Field(
        default=None, pattern=r"^[a-z]{2,3}$", description="Language of the query, if known"
    )
    explain: bool = False
    rewrite: bool = True

    def request(self) -> SearchRequest:
        """What the shop is asked. InvalidInput when it is beyond what one search may cost."""
        facets = [name.strip() for names in self.facets for name in names.split(",")]
        values: dict[str, Any] = {
            "filters": Filters(
                brand=tuple(self.brand),
                merchant=tuple(self.merchant),
                category=tuple(self.category),
                language=tuple(self.product_language),
                attributes=_attributes(self.attribute),
                price_min=self.price_min,
                price_max=self.price_max,
                rating_min=self.rating_min,
                in_stock=self.in_stock,
            ),
            "facets": tuple(dict.fromkeys(name for name in facets if name)),
        }
        for name in ("q", "sort", "page", "size", "ranker", "language", "explain", "rewrite"):
            values[name] = getattr(self, name)
        return bounded(SearchRequest(**values))


def _attributes(pairs: Iterable[str]) -> dict[str, tuple[AttributeValue, ...]]:
    found: dict[str, list[AttributeValue]] = {}
    for pair in pairs:
        name, colon, value = pair.partition(":")
        if not (name and colon and value):
            raise InvalidInput(
                f"'{pair}' is not name:value", field="attribute", remedy="write color:Black, say"
            )
        # As text: an engine reads it as the type that the attribute has.
        found.setdefault(name, []).append(value)
    return {name: tuple(values) for name, values in found.items()}


def bounded(request: SearchRequest) -> SearchRequest:
    """The request itself, unless it asks for more than one search should cost."""
    if request.page * request.size > MAX_DEPTH:
        raise InvalidInput(
            f"page {request.page} of {request.size} lies beyond result {MAX_DEPTH}",
            field="page",
            remedy="narrow the search with filters instead of paging so far",
        )
    f = request.filters
    values = [*f.brand, *f.merchant, *f.category, *f.language]
    for name, alternatives in f.attributes.items():
        values += [name, *(str(a) for a in alternatives)]
    if len(values) > MAX_FILTER_VALUES or any(len(v) > MAX_QUERY for v in values):
        raise InvalidInput(
            f"more than {MAX_FILTER_VALUES} filter values, or one longer than {MAX_QUERY}",
            field="filters",
            remedy="filter by fewer or shorter values",
        )
    if any(p is not None and p > 10**15 for p in (f.price_min, f.price_max)):
        raise InvalidInput(
            "the price is beyond 10^15", field="filters", remedy="use a smaller amount"
        )
    if any(len(name) > MAX_QUERY for name in request.facets):
        raise InvalidInput(
            f"a name longer than {MAX_QUERY}", field="facets", remedy="name facets of this shop"
        )
    return request


class FromProductQuery(Message):
    """Query string of `GET /v1/recommend/similar` and `…/complementary`."""

    product_id: ProductId = Field(examples=["SP-1"])
    size: int = Field(default=12, ge=1, le=MAX_RECOMMENDED)
    in_stock: bool | None = None

    def request(self, kind: Kind) -> RecommendRequest:
        return RecommendRequest(
            kind=kind,
            product_id=self.product_id,
            filters=Filters(in_stock=self.in_stock),
            size=self.size,
        )


class SessionQuery(Message):
    """Query string of `GET /v1/recommend/next` and `…/feed`."""

    recent: list[ProductId] = Field(
        default=[],
        max_length=MAX_RECENT,
        description="Products looked at in this session, oldest first; repeat the parameter",
    )
    size: int = Field(default=12, ge=1, le=MAX_RECOMMENDED)
    in_stock: bool | None = None

    def request(self, kind: Kind) -> RecommendRequest:
        return RecommendRequest(
            kind=kind,
            recent=tuple(self.recent),
            filters=Filters(in_stock=self.in_stock),
            size=self.size,
        )


class RecommendBody(Message):
    """Body of `POST /v1/recommend/next` and `…/feed`."""

    context: PersonalisationContext | None = None
    filters: Filters = Filters()
    size: int = Field(default=12, ge=1, le=MAX_RECOMMENDED)

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"context": {"recent_products": ["SP-1"]}, "size": 12}],
        }
    )

    def request(self, kind: Kind, recent: tuple[str, ...]) -> RecommendRequest:
        """What the shop is asked. InvalidInput when it is beyond what one request may cost."""
        bounded(SearchRequest(filters=self.filters))
        return RecommendRequest(kind=kind, recent=recent, filters=self.filters, size=self.size)


class FromProductBody(RecommendBody):
    """Body of `POST /v1/recommend/similar` and `…/complementary`."""

    product_id: ProductId

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"product_id": "SP-1", "context": {"client_id": "c-1"}, "size": 5}],
        }
    )

    def request(self, kind: Kind, recent: tuple[str, ...]) -> RecommendRequest:
        """The product to start from is enough: what was looked at does not move these lists."""
        asked = super().request(kind, ())
        return asked.model_copy(update={"product_id": self.product_id})


ClientId = Annotated[str, StringConstraints(min_length=1, max_length=128)]


class VisitorBody(Message):
    """Body of `POST /v1/recommend/visitor`, `…/visitor/interests` and `…/visitor/reset`."""

    client_id: ClientId = Field(examples=["5b0c6d1ab2f34ad3a1f6e8b0c9d7e123"])


class ConsentBody(VisitorBody):
    """Body of `PUT /v1/recommend/visitor/consent`."""

    granted: bool = Field(strict=True, examples=[True])


class VisitsBody(VisitorBody):
    """Body of `POST /v1/recommend/visitor/events`."""

    events: tuple[Visit, ...] = Field(
        min_length=1,
        max_length=MAX_RECENT,
        examples=[[{"product_id": "SP-1", "action": "view"}]],
    )


class ProductsBody(VisitorBody):
    """Body of `POST /v1/recommend/visitor/remove`."""

    product_ids: tuple[ProductId, ...] = Field(
        min_length=1, max_length=1_000, examples=[["SP-1", "SP-2"]]
    )


class SuggestQuery(Message):
    """Query string of `GET /v1/suggest`."""

    q: str = Field(max_length=MAX_QUERY, examples=["bluet"])
    limit: int = Field(default=8, ge=1, le=20)
    language: str | None = Field(default=None, pattern=r"^[a-z]{2,3}$")


class Traced(Message):
    """What every answer carries, so that it can be traced to what produced it."""

    query_id: str
    index_generation: str | None
    model_generation: str | None
    timings_ms: dict[str, float] = Field(description="Milliseconds by stage")


class VisitorResponse(Traced):
    visitor: Visitor


class InterestsResponse(Traced):
    interests: tuple[Interest, ...]
    products: tuple[Product, ...] = Field(description="What the visit names, as far as it is here")


class VisitsResponse(Traced):
    recorded: int = Field(description="0 without consent: then nothing is kept")


class SuggestResponse(Traced):
    q: str
    suggestions: list[Suggestion]


class StandingResponse(Traced):
    """Answer of `GET /v1/seller/why`."""

    standing: Standing


class InsightsResponse(Traced):
    """Answer of `GET /v1/insights`: the last report, as `tandem insights --json` prints it."""

    insights: dict[str, Any]


class TrialBody(Message):
    """Body of `POST /v1/insights/try`."""

    id: str = Field(min_length=1, max_length=128, examples=["misspelling-1a2b3c4d"])


class TrialResponse(Traced):
    """Answer of `POST /v1/insights/try`, as `tandem insights try --json` prints it."""

    trial: dict[str, Any]


class ProductResponse(Traced):
    product: Product


class UpsertBody(Message):
    """Body of `PUT /v1/products`: whole products; one with a known id is replaced."""

    products: list[Product] = Field(
        min_length=1,
        examples=[
            [
                {
                    "id": "SP-1",
                    "title": "Portable bluetooth speaker, 20 h battery",
                    "brand": "Acme",
                    "category": ["Electronics", "Audio", "Speakers"],
                    "attributes": {"color": "Black", "battery_life_h": 20},
                    "price": {"amount": "49.90", "currency": "EUR"},
                }
            ]
        ],
    )


class UpsertResponse(Traced):
    upserted: int


class DeleteResponse(Traced):
    deleted: int


class RefreshResponse(Traced):
    switched: bool = Field(description="Whether a newer generation was taken up")


class StatusResponse(Traced):
    """What the server serves, for pages and operators."""

    name: str
    dataset: str | None = None
    simulated: bool
    currency: str
    products: int
    rankers: list[str]
    default_ranker: str | None = None
    ltr_learned_from: int = Field(
        default=0, description="Judged queries that the learned ranker has seen"
    )
    ltr_cross_validated: dict[str, Any] = Field(
        default_factory=dict, description="Its measures on queries that it had not seen"
    )
    facets: list[str]


class EventsBody(Message):
    """Body of `POST /v1/events`: what shoppers did, as UBI queries and events.

    Records are checked one by one, so that a bad one does not cost the others.
    """

    sent_at: AwareDatetime | None = Field(
        default=None,
        description="When the batch leaves, by the sender's clock: corrects a clock that is off",
        examples=["2026-03-01T12:30:10Z"],
    )
    records: list[Annotated[Record, SkipValidation]] = Field(
        min_length=1,
        examples=[
            [
                {
                    "kind": "query",
                    "event_id": "0f8fad5b-d9cb-469f-a165-70867728950e",
                    "timestamp": "2026-03-01T12:30:05.250Z",
                    "client_id": "c-81f3",
                    "query_id": "5b0c6d1ab2f34ad3a1f6e8b0c9d7e123",
                    "user_query": "bluetooth speaker",
                    "object_ids": ["SP-1", "SP-2"],
                },
                {
                    "kind": "event",
                    "event_id": "7c9e6679-7425-40de-944b-e07fc1f90ae7",
                    "timestamp": "2026-03-01T12:30:09Z",
                    "client_id": "c-81f3",
                    "action_name": "click",
                    "query_id": "5b0c6d1ab2f34ad3a1f6e8b0c9d7e123",
                    "object_id": "SP-1",
                    "position": 1,
                },
            ]
        ],
    )


class EventsResponse(Traced):
    """`results` has one entry for each record, in the order of the batch."""

    accepted: int = Field(description="Durably stored")
    duplicates: int = Field(description="Stored before; nothing changed")
    refused: int
    results: list[EventOutcome]


class CompareBody(Message):
    """Body of `POST /v1/compare`: one query, several rankers."""

    q: str = Field(max_length=MAX_QUERY, examples=["bluetooth speaker"])
    rankers: tuple[RankerName, ...] = Field(
        min_length=1, max_length=MAX_COMPARED, examples=[["bm25", "ltr"]]
    )
    size: int = Field(default=20, ge=1, le=50)
    measure: str = Field(default="nDCG@10", max_length=40)
    explain: bool = True
    rewrite: bool = True


class CompareResponse(Traced):
    """`measures` is null for a ranker where the query has no judged relevant product."""

    q: str
    results: dict[str, SearchResponse]
    judgments: dict[str, int] = Field(description="Relevance 0..3 by product id; absent: unjudged")
    measure: str
    measures: dict[str, float | None]


class QueriesQuery(Message):
    """Query string of `GET /v1/judgments/queries`."""

    rankers: str = Field(
        default="", max_length=300, description="Separated by commas", examples=["bm25,ltr"]
    )
    measure: str = Field(default="nDCG@10", max_length=40)


class JudgedQuery(Message):
    """One judged query; `measures` by ranker, null where the query says nothing about it."""

    q: str
    judged: int
    measures: dict[str, float | None]


class QueriesResponse(Traced):
    measure: str
    rankers: list[str]
    queries: list[JudgedQuery]


class JudgmentsQuery(Message):
    """Query string of `GET /v1/judgments`."""

    q: str = Field(min_length=1, max_length=MAX_QUERY, examples=["laptop"])


class JudgmentsResponse(Traced):
    q: str
    judgments: dict[str, int]


class NextQuery(Message):
    """Query string of `GET /v1/judgments/next`: the two rankers that are to be told apart."""

    a: str = Field(min_length=1, max_length=64, examples=["bm25"])
    b: str = Field(min_length=1, max_length=64, examples=["ltr"])
    size: int = Field(default=20, ge=1, le=50)


class PairToJudge(Message):
    """A pair that nobody has judged. `why`: `disagreement`, or `random` for an unbiased check;
    `worth`: by how much its verdict is expected to move the difference; `places`: from 1, null
    where it is not among the first ten."""

    q: str
    product: Product
    why: Literal["disagreement", "random"]
    worth: float
    places: dict[str, int | None]


class NextResponse(Traced):
    """The next pairs, and what the verdicts so far say: expected nDCG@10 of `b` minus that of `a`,
    and the confidence that the sign is right, null while nothing is known of either."""

    pairs: list[PairToJudge]
    difference: float | None
    confidence: float | None
    told_apart: bool
    judged: int
    pool: int


class JudgmentBody(Message):
    """Body of `PUT /v1/judgments`: 3 exact, 2 substitute, 1 complement, 0 irrelevant."""

    q: str = Field(min_length=1, max_length=MAX_QUERY, examples=["laptop"])
    product_id: ProductId = Field(examples=["2060476"])
    relevance: int = Field(ge=0, le=3, strict=True, examples=[3])

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.q.strip():
            raise ValueError("a judgment needs a query")
        return self


class ModelsResponse(Message):
    """Answer of `GET /v1/models`: newest first."""

    models: tuple[RegisteredModel, ...]


class BoardResponse(Message):
    """Answer of `GET /v1/lab/board`. `source` in it says whether it is of `tandem leaderboard` or
    of the live model's evaluation; null where there is neither."""

    board: dict[str, Any]


class QuerySetsResponse(Message):
    """Answer of `GET /v1/lab/query-sets`: judgment lists with their sizes."""

    query_sets: list[dict[str, Any]]


class ExperimentsResponse(Message):
    """Answer of `GET /v1/lab/experiments`: analyses as `tandem experiment analyse --json` has
    them, newest first."""

    experiments: list[dict[str, Any]]


class ReportsResponse(Message):
    """Answer of `GET /v1/lab/reports`: reports by name with the endings of their files."""

    reports: list[dict[str, Any]]


class RouteLoad(Message):
    """Requests to one route. Times are read from a histogram, so they are as fine as its buckets;
    null before the first request. errors: answers of 500 and above."""

    route: str
    requests: int
    errors: int
    p50_ms: float | None
    p95_ms: float | None


class MonitorResponse(Message):
    """Answer of `GET /v1/lab/monitor`: sums over all servers of the workspace that are at work,
    each since it started; this one `seconds` ago.

    `servers`: how many. `refused`: turned away to protect the server. `search`: the route of
    searches.
    """

    servers: int = 1
    seconds: float
    requests: int
    errors: int
    refused: int
    in_flight: int
    searches: int
    without_results: int
    search: RouteLoad | None
    routes: list[RouteLoad] = Field(description="The busiest twenty")


class ArtefactsResponse(Message):
    """Answer of `GET /v1/artefacts`: by kind, newest first."""

    artefacts: tuple[Artefact, ...]


_APPROVED = "Who approved learning from what people did, for the privacy gate"


class PromoteBody(Message):
    """Body of `POST /v1/models/{generation}/promote`."""

    why: str = Field(min_length=1, max_length=1_000, examples=["learned from more judgments"])
    override: tuple[str, ...] = Field(
        default=(), max_length=8, description="Gates to overrule, by name", examples=[["latency"]]
    )
    approved_by: str | None = Field(default=None, max_length=200, description=_APPROVED)


class RollbackBody(Message):
    """Body of `POST /v1/models/rollback`."""

    why: str = Field(min_length=1, max_length=1_000, examples=["clicks fell"])
    to: str | None = Field(default=None, max_length=64, description="Default: the one before")


class ShadowBody(Message):
    """Body of `POST /v1/models/{generation}/shadow`."""

    why: str = Field(min_length=1, max_length=1_000, examples=["is it quick enough?"])
    share: float = Field(default=0.1, gt=0, le=1, description="Of requests that it answers unseen")


class CanaryBody(Message):
    """Body of `POST /v1/models/{generation}/canary`."""

    why: str = Field(min_length=1, max_length=1_000, examples=["better offline"])
    share: float = Field(default=0.05, gt=0, le=0.5, description="Of people who get it")
    override: tuple[str, ...] = Field(
        default=(), max_length=8, description="Gates to overrule, by name"
    )
    approved_by: str | None = Field(default=None, max_length=200, description=_APPROVED)


class WhyBody(Message):
    """Body of a change that needs nothing but its reason."""

    why: str = Field(min_length=1, max_length=1_000, examples=["it has been long enough"])


class RunningResponse(Message):
    """Answer of `GET /v1/experiments`: newest first."""

    experiments: tuple[ExperimentStanding, ...]


class StartBody(Message):
    """Body of `POST /v1/experiments`. The first variant is the control."""

    name: Name = Field(examples=["more-judgments"])
    why: str = Field(min_length=1, max_length=1_000, examples=["does the new model earn more?"])
    variants: tuple[Variant, ...] = Field(
        min_length=2,
        max_length=8,
        examples=[
            [
                {"name": "control", "weight": 1},
                {"name": "treatment", "weight": 1, "configuration": {"ranker": "bm25"}},
            ]
        ],
    )
    layer: Name = Field(default="search", description="Experiments of one layer exclude each other")
    share: float = Field(default=1.0, gt=0, le=1, description="Of the layer's people")
    ramp: float = Field(default=1.0, ge=0, le=1, description="Of those, who take part at first")
    success: tuple[str, ...] = Field(default=(), max_length=20)
    guardrails: tuple[str, ...] = Field(default=(), max_length=20)
    planned: int = Field(default=10_000, ge=10, le=10**12, description="People, of both arms")


class SlotsResponse(Message):
    """Answer of `GET /v1/slots`: newest first."""

    slots: tuple[SlotStanding, ...]


class SlotBody(Message):
    """Body of `POST /v1/slots`. The first arm is what everybody gets without the slot."""

    name: Name = Field(examples=["front-banner"])
    why: str = Field(min_length=1, max_length=1_000, examples=["which banner is worth its place?"])
    where: Where = Field(examples=["page"])
    place: int | None = Field(default=None, ge=1, le=60, description="In the feed, from 1")
    arms: tuple[SlotArm, ...] = Field(
        min_length=2,
        max_length=20,
        examples=[[{"name": "plain"}, {"name": "summer", "value": "/banners/summer"}]],
    )
    bandit: BanditKind = "thompson"
    reward: RewardAction = "click"
    window: int = Field(default=60, ge=1, le=7 * 24 * 60, description="Minutes; what counts")
    guardrails: SlotGuardrails = SlotGuardrails()


class SlotShowBody(Message):
    """Body of `POST /v1/slots/{name}/show`."""

    context: PersonalisationContext | None = Field(
        default=None,
        description="Who is asking: without a `client_id`, or for one who objects to analytics, "
        "nothing is tried. Never stored by asking",
    )


class SlotShownResponse(Traced):
    """What to show. Send `query_id` with the clicks that follow: they are what the slot learns
    from."""

    slot: str
    arm: str
    value: str | None
    pscore: float | None = Field(description="Its probability; null where nothing is tried")


class RampBody(Message):
    """Body of `POST /v1/experiments/{name}/ramp`."""

    ramp: float = Field(ge=0, le=1, examples=[0.5])
    why: str = Field(min_length=1, max_length=1_000, examples=["nothing broke"])
