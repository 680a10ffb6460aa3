"""The model registry: what there is, what is live and why; promote, roll back, trace."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request
from starlette.responses import Response

from tandem.contracts.registry import Decision, PromotedKind, RegisteredModel, Trace
from tandem.governance.access import Permission, Principal
from tandem.http.problems import documented
from tandem.http.schemas import (
    ArtefactsResponse,
    CanaryBody,
    ModelsResponse,
    PromoteBody,
    RollbackBody,
    ShadowBody,
    WhyBody,
)
from tandem.http.services import offered
from tandem.http.serving import Serving, StrictRoute, json_response, needs, of
from tandem.http.shop import Registry

router = APIRouter(prefix="/v1", route_class=StrictRoute, tags=["models"])
_Generation = Annotated[str, Path(max_length=64, examples=["g000002-20260301T120000"])]
_QueryId = Annotated[str, Path(max_length=128, examples=["5b0c6d1ab2f34ad3a1f6e8b0c9d7e123"])]
_READ = documented(404, 422, 429, 503)
_CHANGE = documented(400, 401, 403, 404, 409, 413, 422, 429, 503)
_Trainer = Annotated[Principal, Depends(needs(Permission.TRAIN))]


def _registry(serving: Serving) -> Registry:
    return offered(serving.services.registry, "this server has no model registry")


@router.get("/models", response_model=ModelsResponse, responses=_READ)
async def models(request: Request) -> Response:
    """Every ranker with its stage, lineage and decisions, newest first."""
    serving = of(request)
    registry = _registry(serving)
    found, _ = await serving.run(serving.slow, registry.models)
    return json_response(ModelsResponse(models=found))


@router.get("/models/{generation}", response_model=RegisteredModel, responses=_READ)
async def model(request: Request, generation: _Generation) -> Response:
    """One ranker."""
    serving = of(request)
    registry = _registry(serving)
    found, _ = await serving.run(serving.slow, lambda: registry.model(generation))
    return json_response(found)


@router.get(
    "/models/{generation}/card",
    response_class=Response,
    responses={200: {"content": {"text/html": {"schema": {"type": "string"}}}}, **_READ},
)
async def card(request: Request, generation: _Generation) -> Response:
    """The model card: a page that stands alone."""
    serving = of(request)
    registry = _registry(serving)
    page, _ = await serving.run(serving.slow, lambda: registry.card(generation))
    return Response(page, media_type="text/html")


@router.post("/models/rollback", response_model=Decision, responses=_CHANGE)
async def roll_back(request: Request, body: RollbackBody, who: _Trainer) -> Response:
    """Make an older ranker live again at once; no gate is asked."""
    serving = of(request)
    registry = _registry(serving)

    def work() -> Decision:
        decision = registry.roll_back(body.to, who.actor, body.why)
        serving.shop.refresh()
        return decision

    decision, _ = await serving.run(serving.slow, work)
    serving.rankings.forget()
    return json_response(decision)


@router.post("/models/{generation}/promote", response_model=Decision, responses=_CHANGE)
async def promote(
    request: Request, generation: _Generation, body: PromoteBody, who: _Trainer
) -> Response:
    """Ask the gates and go live. The decision says with `stage` whether it did: `live`, or
    `candidate` when a gate refused. It is on record either way."""
    serving = of(request)
    registry = _registry(serving)

    def work() -> Decision:
        decision = registry.promote(
            generation, who.actor, body.why, body.override, body.approved_by
        )
        serving.shop.refresh()
        return decision

    decision, _ = await serving.run(serving.slow, work)
    serving.rankings.forget()
    return json_response(decision)


@router.post("/models/{generation}/shadow", response_model=Decision, responses=_CHANGE)
async def shadow(
    request: Request, generation: _Generation, body: ShadowBody, who: _Trainer
) -> Response:
    """Let a model answer a share of the real requests unseen; `shadowed` of the model tells how
    far it agrees and how long it takes."""
    serving = of(request)
    registry = _registry(serving)
    decision, _ = await serving.run(
        serving.slow, lambda: registry.shadow(generation, body.share, who.actor, body.why)
    )
    return json_response(decision)


@router.post("/models/{generation}/canary", response_model=Decision, responses=_CHANGE)
async def canary(
    request: Request, generation: _Generation, body: CanaryBody, who: _Trainer
) -> Response:
    """Ask the gates, and serve a model to a small share of the people. It goes back by itself when
    it is slow, fails, or makes people click or buy less. `stage` says whether it is served."""
    serving = of(request)
    registry = _registry(serving)
    decision, _ = await serving.run(
        serving.slow,
        lambda: registry.canary(
            generation, body.share, who.actor, body.why, body.override, body.approved_by
        ),
    )
    return json_response(decision)


@router.post("/models/{generation}/withdraw", response_model=Decision, responses=_CHANGE)
async def withdraw(
    request: Request, generation: _Generation, body: WhyBody, who: _Trainer
) -> Response:
    """End a canary or a shadow at once."""
    serving = of(request)
    registry = _registry(serving)
    decision, _ = await serving.run(
        serving.slow, lambda: registry.withdraw(generation, who.actor, body.why)
    )
    return json_response(decision)


# --- Other kinds --------------------------------------------------------------------------------

_Kind = Annotated[PromotedKind, Path(examples=["recommenders"])]


@router.get("/artefacts", response_model=ArtefactsResponse, responses=_READ)
async def artefacts(request: Request) -> Response:
    """Tuned configurations, recommenders, personal and feed rankers and matchers with their stages,
    lineage and decisions, by kind, newest first."""
    serving = of(request)
    registry = _registry(serving)
    found, _ = await serving.run(serving.slow, registry.artefacts)
    return json_response(ArtefactsResponse(artefacts=found))


@router.get(
    "/artefacts/{kind}/{generation}/card",
    response_class=Response,
    responses={200: {"content": {"text/html": {"schema": {"type": "string"}}}}, **_READ},
)
async def artefact_card(request: Request, kind: _Kind, generation: _Generation) -> Response:
    """The card of a generation: a page that stands alone."""
    serving = of(request)
    registry = _registry(serving)
    page, _ = await serving.run(serving.slow, lambda: registry.artefact_card(kind, generation))
    return Response(page, media_type="text/html")


@router.post("/artefacts/{kind}/rollback", response_model=Decision, responses=_CHANGE)
async def roll_back_artefact(
    request: Request, kind: _Kind, body: RollbackBody, who: _Trainer
) -> Response:
    """Make an older generation live again at once; no gate is asked."""
    serving = of(request)
    registry = _registry(serving)

    def work() -> Decision:
        decision = registry.roll_back_artefact(kind, body.to, who.actor, body.why)
        serving.shop.refresh()
        return decision

    decision, _ = await serving.run(serving.slow, work)
    serving.rankings.forget()
    return json_response(decision)


@router.post("/artefacts/{kind}/{generation}/promote", response_model=Decision, responses=_CHANGE)
async def promote_artefact(
    request: Request, kind: _Kind, generation: _Generation, body: PromoteBody, who: _Trainer
) -> Response:
    """Ask the gates and go live; `stage` says whether it did. On record either way."""
    serving = of(request)
    registry = _registry(serving)

    def work() -> Decision:
        decision = registry.promote_artefact(
            kind, generation, who.actor, body.why, body.override, body.approved_by
        )
        serving.shop.refresh()
        return decision

    decision, _ = await serving.run(serving.slow, work)
    serving.rankings.forget()
    return json_response(decision)


@router.post("/artefacts/{kind}/{generation}/shadow", response_model=Decision, responses=_CHANGE)
async def shadow_artefact(
    request: Request, kind: _Kind, generation: _Generation, body: ShadowBody, who: _Trainer
) -> Response:
    """Let a configuration or a recommender answer a share of the real requests unseen."""
    serving = of(request)
    registry = _registry(serving)
    decision, _ = await serving.run(
        serving.slow,
        lambda: registry.shadow_artefact(kind, generation, body.share, who.actor, body.why),
    )
    return json_response(decision)


@router.post("/artefacts/{kind}/{generation}/canary", response_model=Decision, responses=_CHANGE)
async def canary_artefact(
    request: Request, kind: _Kind, generation: _Generation, body: CanaryBody, who: _Trainer
) -> Response:
    """Ask the gates, and serve a configuration or a recommender to a small share of the people."""
    serving = of(request)
    registry = _registry(serving)
    decision, _ = await serving.run(
        serving.slow,
        lambda: registry.canary_artefact(
            kind, generation, body.share, who.actor, body.why, body.override, body.approved_by
        ),
    )
    return json_response(decision)


@router.post("/artefacts/{kind}/{generation}/withdraw", response_model=Decision, responses=_CHANGE)
async def withdraw_artefact(
    request: Request, kind: _Kind, generation: _Generation, body: WhyBody, who: _Trainer
) -> Response:
    """End a canary or a shadow at once."""
    serving = of(request)
    registry = _registry(serving)
    decision, _ = await serving.run(
        serving.slow,
        lambda: registry.withdraw_artefact(kind, generation, who.actor, body.why),
    )
    return json_response(decision)


@router.get("/trace/{query_id}", response_model=Trace, responses=_READ)
async def trace(request: Request, query_id: _QueryId) -> Response:
    """Which model, index, rules and decisions a served result came from."""
    serving = of(request)
    registry = _registry(serving)
    found, _ = await serving.run(serving.slow, lambda: registry.trace(query_id))
    return json_response(found)
