"""The registry: what there is, what is live and why; promote, try, roll back, trace."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeVar, get_args

from fastapi import APIRouter, Depends, Path, Request
from starlette.responses import Response

from tandem.contracts.artefact import PromotedKind
from tandem.contracts.registry import Decision, RegisteredModel, Trace
from tandem.governance.access import Permission, Principal
from tandem.http.problems import documented
from tandem.http.schemas import (
    ArtefactsResponse,
    CanaryBody,
    Message,
    ModelsResponse,
    PromoteBody,
    RollbackBody,
    ShadowBody,
    WhyBody,
)
from tandem.http.services import offered
from tandem.http.serving import Serving, StrictRoute, json_response, needs, of
from tandem.http.shop import Registry

T = TypeVar("T")
router = APIRouter(prefix="/v1", route_class=StrictRoute, tags=["models"])
_Generation = Annotated[str, Path(max_length=64, examples=["g000002-20260301T120000"])]
_QueryId = Annotated[str, Path(max_length=128, examples=["5b0c6d1ab2f34ad3a1f6e8b0c9d7e123"])]
_READ = documented(404, 422, 429, 503)
_CHANGE = documented(400, 401, 403, 404, 409, 413, 422, 429, 503)
_HTML: dict[int | str, Any] = {200: {"content": {"text/html": {"schema": {"type": "string"}}}}}
_PAGE: dict[int | str, Any] = {**_HTML, **_READ}
_OTHERS: tuple[PromotedKind, ...] = tuple(k for k in get_args(PromotedKind) if k != "models")
_Trainer = Annotated[Principal, Depends(needs(Permission.TRAIN))]


def _registry(serving: Serving) -> Registry:
    return offered(serving.services.registry, "this server has no model registry")


async def _asked(request: Request, ask: Callable[[Registry], T]) -> T:
    serving = of(request)
    registry = _registry(serving)
    found, _ = await serving.run(serving.slow, lambda: ask(registry))
    return found


async def _switched(request: Request, decide: Callable[[Registry], Decision]) -> Response:
    """A decision that may make another generation live: the shop takes it up at once."""
    serving = of(request)

    def work(registry: Registry) -> Decision:
        decision = decide(registry)
        serving.shop.refresh()
        return decision

    decision = await _asked(request, work)
    serving.rankings.forget()
    return json_response(decision)


async def _page(request: Request, kind: PromotedKind, generation: str) -> Response:
    page = await _asked(request, lambda r: r.card(kind, generation))
    return Response(page, media_type="text/html")


async def _kept(request: Request, decide: Callable[[Registry], Decision]) -> Response:
    return json_response(await _asked(request, decide))


def _said(body: Message, who: Principal) -> dict[str, Any]:
    return {"who": who.actor, **body.model_dump()}


# --- Rankers, by a name of their own --------------------------------------------------------------


@router.get("/models", response_model=ModelsResponse, responses=_READ)
async def models(request: Request) -> Response:
    """Every ranker with its stage, lineage and decisions, newest first."""
    found = await _asked(request, lambda r: r.artefacts("models"))
    return json_response(ModelsResponse(models=tuple(map(RegisteredModel.of, found))))


@router.get("/models/{generation}", response_model=RegisteredModel, responses=_READ)
async def model(request: Request, generation: _Generation) -> Response:
    """One ranker."""
    found = await _asked(request, lambda r: r.artefact("models", generation))
    return json_response(RegisteredModel.of(found))


@router.get("/models/{generation}/card", response_class=Response, responses=_PAGE)
async def card(request: Request, generation: _Generation) -> Response:
    """The model card: a page that stands alone."""
    return await _page(request, "models", generation)


@router.post("/models/rollback", response_model=Decision, responses=_CHANGE)
async def roll_back(request: Request, body: RollbackBody, who: _Trainer) -> Response:
    """Make an older ranker live again at once; no gate is asked."""
    said = _said(body, who)
    return await _switched(request, lambda r: r.roll_back("models", **said))


@router.post("/models/{generation}/promote", response_model=Decision, responses=_CHANGE)
async def promote(
    request: Request, generation: _Generation, body: PromoteBody, who: _Trainer
) -> Response:
    """Ask the gates and go live. The decision says with `stage` whether it did: `live`, or
    `candidate` when a gate refused. It is on record either way."""
    said = _said(body, who)
    return await _switched(request, lambda r: r.promote("models", generation, **said))


@router.post("/models/{generation}/shadow", response_model=Decision, responses=_CHANGE)
async def shadow(
    request: Request, generation: _Generation, body: ShadowBody, who: _Trainer
) -> Response:
    """Let a model answer a share of the real requests unseen; `shadowed` of the model tells how
    far it agrees and how long it takes."""
    said = _said(body, who)
    return await _kept(request, lambda r: r.shadow("models", generation, **said))


@router.post("/models/{generation}/canary", response_model=Decision, responses=_CHANGE)
async def canary(
    request: Request, generation: _Generation, body: CanaryBody, who: _Trainer
) -> Response:
    """Ask the gates, and serve a model to a small share of the people. It goes back by itself when
    it is slow, fails, or makes people click or buy less. `stage` says whether it is served."""
    said = _said(body, who)
    return await _kept(request, lambda r: r.canary("models", generation, **said))


@router.post("/models/{generation}/withdraw", response_model=Decision, responses=_CHANGE)
async def withdraw(
    request: Request, generation: _Generation, body: WhyBody, who: _Trainer
) -> Response:
    """End a canary or a shadow at once."""
    said = _said(body, who)
    return await _kept(request, lambda r: r.withdraw("models", generation, **said))


# --- Every kind -----------------------------------------------------------------------------------

_Kind = Annotated[PromotedKind, Path(examples=["recommenders"])]


@router.get("/artefacts", response_model=ArtefactsResponse, responses=_READ)
async def artefacts(request: Request) -> Response:
    """Tuned configurations, cross-encoders, recommenders, personal and feed rankers and matchers
    with their stages, lineage and decisions, by kind, newest first; `/v1/models` has the rankers of
    the search."""
    found = await _asked(request, lambda r: r.artefacts(*_OTHERS))
    return json_response(ArtefactsResponse(artefacts=found))


@router.get("/artefacts/{kind}/{generation}/card", response_class=Response, responses=_PAGE)
async def artefact_card(request: Request, kind: _Kind, generation: _Generation) -> Response:
    """The card of a generation: a page that stands alone."""
    return await _page(request, kind, generation)


@router.post("/artefacts/{kind}/rollback", response_model=Decision, responses=_CHANGE)
async def roll_back_artefact(
    request: Request, kind: _Kind, body: RollbackBody, who: _Trainer
) -> Response:
    """Make an older generation live again at once; no gate is asked."""
    said = _said(body, who)
    return await _switched(request, lambda r: r.roll_back(kind, **said))


@router.post("/artefacts/{kind}/{generation}/promote", response_model=Decision, responses=_CHANGE)
async def promote_artefact(
    request: Request, kind: _Kind, generation: _Generation, body: PromoteBody, who: _Trainer
) -> Response:
    """Ask the gates and go live; `stage` says whether it did. On record either way."""
    said = _said(body, who)
    return await _switched(request, lambda r: r.promote(kind, generation, **said))


@router.post("/artefacts/{kind}/{generation}/shadow", response_model=Decision, responses=_CHANGE)
async def shadow_artefact(
    request: Request, kind: _Kind, generation: _Generation, body: ShadowBody, who: _Trainer
) -> Response:
    """Let a candidate answer a share of the real requests unseen."""
    said = _said(body, who)
    return await _kept(request, lambda r: r.shadow(kind, generation, **said))


@router.post("/artefacts/{kind}/{generation}/canary", response_model=Decision, responses=_CHANGE)
async def canary_artefact(
    request: Request, kind: _Kind, generation: _Generation, body: CanaryBody, who: _Trainer
) -> Response:
    """Ask the gates, and serve a candidate to a small share of the people."""
    said = _said(body, who)
    return await _kept(request, lambda r: r.canary(kind, generation, **said))


@router.post("/artefacts/{kind}/{generation}/withdraw", response_model=Decision, responses=_CHANGE)
async def withdraw_artefact(
    request: Request, kind: _Kind, generation: _Generation, body: WhyBody, who: _Trainer
) -> Response:
    """End a canary or a shadow at once."""
    said = _said(body, who)
    return await _kept(request, lambda r: r.withdraw(kind, generation, **said))


@router.get("/trace/{query_id}", response_model=Trace, responses=_READ)
async def trace(request: Request, query_id: _QueryId) -> Response:
    """Which model, index, rules and decisions a served result came from."""
    return json_response(await _asked(request, lambda r: r.trace(query_id)))
