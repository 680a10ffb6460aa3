"""Events: what shoppers did, durable when it is answered."""

from __future__ import annotations

from collections import Counter

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from tandem.contracts.errors import Behind, InvalidInput
from tandem.http.problems import documented
from tandem.http.schemas import EventsBody, EventsResponse
from tandem.http.serving import StrictRoute, json_response, of
from tandem.http.workers import Overloaded

router = APIRouter(prefix="/v1", route_class=StrictRoute, tags=["events"])


@router.post(
    "/events",
    response_model=EventsResponse,
    responses=documented(400, 404, 413, 422, 429, 503, 507),
)
async def events(request: Request, body: EventsBody) -> Response:
    """Take a batch of events. Answered means durable; sending a batch again changes nothing.

    Each record is accepted, a duplicate, or refused with a reason. 429 asks the sender to wait,
    since the journal is behind; then nothing of the batch was stored.
    """
    serving = of(request)
    if not serving.settings.collect_events:
        raise HTTPException(404, "this server takes no events")
    if len(body.records) > serving.settings.max_events:
        raise InvalidInput(
            f"{len(body.records)} records in one batch",
            field="records",
            remedy=f"send at most {serving.settings.max_events} at once",
        )
    try:
        results, timings = await serving.run(
            serving.events, lambda: serving.shop.take_events(body.records, body.sent_at)
        )
    except Overloaded as refusal:
        if refusal.reason != "queue":
            raise  # nobody knows whether it was stored: 503; sending it again is safe
        raise Behind("more events come in than can be written", retry_after=1) from None
    counts: Counter[str] = Counter(result.status for result in results)
    serving.metrics.took_events(counts)
    return json_response(
        EventsResponse.model_construct(
            accepted=counts["accepted"],
            duplicates=counts["duplicate"],
            refused=counts["refused"],
            results=results,
            **serving.traced(request, timings, serving.shop.status()),
        )
    )
