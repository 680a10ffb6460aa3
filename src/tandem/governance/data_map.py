"""The data map: which personal data is where, what for, on what ground, for how long.

In the terms of fideslang, the open privacy taxonomy (categories, uses and subjects of its default
taxonomy 3.1), so that a register of processing (GDPR Art. 30) can be filled from it. It is made
from the contracts themselves: every field of every stored kind of record is annotated here, and a
test fails for a field that is not, so that the map cannot drift from what is stored.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from tandem.contracts.campaign import Campaign
from tandem.contracts.collaboration import Attribution, Collaboration
from tandem.contracts.configuration import SearchConfiguration
from tandem.contracts.consent import Basis, ConsentRecord, Purpose
from tandem.contracts.events import AdmittedEvent
from tandem.contracts.experiment import OnlineExperiment, ShadowRequest
from tandem.contracts.judgment import Judgment, Provenance
from tandem.contracts.parties import WATCH_CURVE, Content, Creator, Merchant
from tandem.contracts.product import Product
from tandem.contracts.query_log import QueryCount
from tandem.contracts.registry import Decision, Served
from tandem.contracts.remembered import RememberedSession
from tandem.contracts.seller import Target
from tandem.contracts.slot import BanditSlot, SlotShowing
from tandem.governance.audit import Entry
from tandem.governance.keys import ApiKey
from tandem.registry.served import KEPT_DAYS
from tandem.registry.slots import KEPT_DAYS as SLOT_DAYS
from tandem.storage.visitor_state import VisitorState

PSEUDONYMOUS = "user.unique_id.pseudonymous"
SEARCHES = "user.behavior.search_history"
BROWSING = "user.behavior.browsing_history"
PURCHASES = "user.behavior.purchase_history"
MEDIA = "user.behavior.media_consumption"
DEVICE = "user.device"
PLACE = "user.location.imprecise"
LANGUAGE = "user.demographic.language"
PREFERENCES = "user.privacy_preferences"
OPERATIONS = "system.operations"
ACCOUNT = "user.account"


@dataclass(frozen=True)
class Collection:
    """A kind of stored record.

    kept: categories of retention; none for what is kept until it is replaced.
    fields: fideslang categories of each field; `system.operations` is no personal data.
    """

    name: str
    of: type
    where: str
    about: str
    subjects: tuple[str, ...]
    kept: tuple[str, ...]
    fields: Mapping[str, tuple[str, ...]]


def _all(categories: str, *names: str) -> dict[str, tuple[str, ...]]:
    return dict.fromkeys(names, tuple(categories.split()))


COLLECTIONS: tuple[Collection, ...] = (
    Collection(
        "events",
        AdmittedEvent,
        "events/",
        "What shoppers did, under pseudonyms, personal data in queries masked",
        ("customer", "anonymous_user"),
        ("searches", "behaviour", "purchases"),
        {
            **_all(PSEUDONYMOUS, "client", "session", "user", "order"),
            **_all(SEARCHES, "user_query", "query_id", "filters", "total", "object_ids"),
            **_all(f"{BROWSING} {SEARCHES}", "action_name", "object_id", "position"),
            **_all(BROWSING, "timestamp", "received", "latency_ms"),
            **_all(PURCHASES, "quantity", "amount", "currency"),
            **_all(MEDIA, "content", "creator_id", "seconds", "duration"),
            **_all(DEVICE, "device"),
            **_all(PLACE, "region"),
            **_all(LANGUAGE, "language"),
            **_all(OPERATIONS, "event_key", "masked", "traffic", "clock"),
        },
    ),
    Collection(
        "query_log",
        QueryCount,
        "queries/log.parquet",
        "Query texts that several people asked, with counts: nobody's in particular",
        ("anonymous_user",),
        (),
        _all(OPERATIONS, "query", "asked"),
    ),
    Collection(
        "visitors",
        VisitorState,
        "visitors/state.db, or the Redis that the settings name",
        "What visitors who allow personalisation looked at last, were shown, and do not want",
        ("customer", "anonymous_user"),
        ("visitors",),
        {
            **_all(PSEUDONYMOUS, "subject"),
            **_all(BROWSING, "recent", "shown", "updated"),
            **_all(PREFERENCES, "hidden"),
        },
    ),
    Collection(
        "consent",
        ConsentRecord,
        "consent/ledger.db",
        "What each person allows, by purpose; former decisions stay as proof",
        ("customer", "anonymous_user"),
        (),
        {
            **_all(PSEUDONYMOUS, "subject"),
            **_all(PREFERENCES, "purpose", "decision", "basis", "special", "evidence", "at"),
            **_all(OPERATIONS, "number"),
            **_all(ACCOUNT, "source"),
        },
    ),
    Collection(
        "audit",
        Entry,
        "audit/log.jsonl",
        "Who did what to people's data; cannot be changed unseen",
        ("employee", "customer"),
        (),
        {
            **_all(ACCOUNT, "actor"),
            **_all(f"{PSEUDONYMOUS} {OPERATIONS}", "details"),
            **_all(OPERATIONS, "sequence", "at", "action", "previous", "hash"),
        },
    ),
    Collection(
        "api_keys",
        ApiKey,
        "access/keys.json",
        "API keys as hashes, with role and tenant",
        ("employee", "supplier_vendor"),
        (),
        {
            **_all("system.authentication", "id", "digest"),
            **_all(ACCOUNT, "role", "tenant", "name"),
            **_all(OPERATIONS, "created", "expires", "revoked"),
        },
    ),
    Collection(
        "judgments",
        Judgment,
        "judgments/",
        "Verdicts on products for queries, without who gave them",
        (),
        (),
        _all(OPERATIONS, "query", "product_id", "relevance"),
    ),
    Collection(
        "judgment_provenance",
        Provenance,
        "judgments/",
        "Beside each verdict: people or which program, when, and the clicks that support it (sums)",
        (),
        (),
        _all(OPERATIONS, "source", "judge", "at", "looks", "clicks"),
    ),
    Collection(
        "search_configurations",
        SearchConfiguration,
        "configurations/",
        "How search weighs fields, words and meaning, and the judged queries that was chosen by",
        (),
        (),
        _all(OPERATIONS, "field_boosts", "words", "meaning", "rank_constant", "tuned_on"),
    ),
    Collection(
        "products",
        Product,
        "catalog/",
        "The catalogue; a merchant may be a natural person",
        ("supplier_vendor",),
        (),
        {
            **_all("user.content.public", "merchant"),
            **_all(
                OPERATIONS,
                *("id", "title", "description", "brand", "category", "attributes", "identifiers"),
                *("price", "stock", "rating", "rating_count", "images", "created", "language"),
                "extra",
            ),
        },
    ),
    Collection(
        "served",
        Served,
        "registry/",
        "What each search and recommendation was answered with, without its words and whose it "
        f"was; {KEPT_DAYS} days",
        (),
        (),
        _all(
            OPERATIONS,
            *("query_id", "at", "ranker", "index_generation", "model_generation", "policy", "page"),
            *(
                "products",
                "scores",
                "total",
                "milliseconds",
                "simulated",
                "experiments",
                "explored",
                "kind",
                "parts",
                "encoder",
                "personal",
                "slots",
            ),
        ),
    ),
    Collection(
        "slots",
        BanditSlot,
        "registry/",
        "Who started and stopped which slot, and why; what it may show",
        ("employee",),
        (),
        {
            **_all(f"{ACCOUNT} {OPERATIONS}", "changes"),
            **_all(
                OPERATIONS,
                *("name", "where", "place", "arms", "bandit", "reward", "window", "guardrails"),
                *("state", "started", "ended"),
            ),
        },
    ),
    Collection(
        "remembered_sessions",
        RememberedSession,
        "recommenders/",
        "What was looked at together in the newest sessions that may be learned from, where a "
        "stacked recommender was trained; nobody's id, no times; gone with its generation, which "
        "an erasure retires",
        ("customer", "anonymous_user"),
        (),
        _all(BROWSING, "products", "places"),
    ),
    Collection(
        "slot_showings",
        SlotShowing,
        "registry/slots.db",
        "What slots showed, with what probability, and whether it was clicked; neither words nor "
        f"people; {SLOT_DAYS} days",
        (),
        (),
        _all(
            OPERATIONS,
            *("query_id", "slot", "at", "arm", "pscore", "explored", "object_id", "context"),
            "reward",
        ),
    ),
    Collection(
        "model_decisions",
        Decision,
        "registry/",
        "Who put which model live, and why",
        ("employee",),
        (),
        {
            **_all(ACCOUNT, "who"),
            **_all(
                OPERATIONS,
                *("number", "at", "generation", "stage", "instead_of", "why", "gates"),
                *("overridden", "share", "kind"),
            ),
        },
    ),
    Collection(
        "experiments",
        OnlineExperiment,
        "registry/",
        "Who started, widened and stopped which experiment, and why; people in it are not named",
        ("employee",),
        (),
        {
            **_all(f"{ACCOUNT} {OPERATIONS}", "changes"),
            **_all(
                OPERATIONS,
                *("name", "kind", "of", "layer", "first", "size", "ramp", "variants", "success"),
                *("guardrails", "planned", "alpha", "state", "started", "ended"),
            ),
        },
    ),
    Collection(
        "shadowed",
        ShadowRequest,
        "registry/",
        "How far a model that nobody saw agreed with the live one; neither words nor people",
        (),
        (),
        _all(
            OPERATIONS,
            *("at", "kind", "generation", "beside", "overlap", "same_first", "live_ms"),
            *("shadow_ms", "simulated"),
        ),
    ),
    Collection(
        "merchants",
        Merchant,
        "merchants/",
        "Who sells on the marketplace; a merchant may be a natural person",
        ("supplier_vendor",),
        (),
        {
            **_all("user.content.public", "id", "name"),
            **_all("user.behavior", "rating", "fulfillment_percentage"),
            **_all(OPERATIONS, "categories", "regions", "blocked_categories", "simulated"),
        },
    ),
    Collection(
        "creators",
        Creator,
        "creators/",
        "Creators as the platform declares them; exact values are shown with consent only",
        ("supplier_vendor",),
        ("creators",),
        {
            **_all("user.account.username", "id", "handle"),
            **_all("user.content.public", "bio", "topics", "blocked_categories"),
            **_all("user.demographic.language", "language"),
            **_all("user.location", "region"),
            **_all(
                "user.behavior",
                *("video_count", "live_count", "post_rate", "fulfillment_percentage", "slots"),
            ),
            **_all("user.financial", "gmv", "gpm", "items_sold", "commission_rate"),
            # Of all who watch together: shares and ranges.
            **_all(
                OPERATIONS,
                *("follower_count", "audience", "avg_video_views", "engagement_rate", "simulated"),
            ),
        },
    ),
    Collection(
        "content",
        Content,
        "content/",
        "Videos and lives that creators published, addresses and numbers in their texts masked",
        ("supplier_vendor",),
        ("content",),
        {
            **_all("user.account.username", "creator_id"),
            **_all(
                "user.content.public", "caption", "hashtags", "transcript", "published", "media_url"
            ),
            **_all("user.financial", "orders", "items_sold", "gmv"),
            # Of all who watched together.
            **_all(
                OPERATIONS,
                *("id", "kind", "language", "product_ids", "paid", "duration", "impressions"),
                *("views", *WATCH_CURVE, "average_video_play", "likes", "comments", "shares"),
                *("clicks", "simulated"),
            ),
        },
    ),
    Collection(
        "campaigns",
        Campaign,
        "campaigns/",
        "Merchants' campaigns: which creators are planned for which products",
        ("supplier_vendor",),
        (),
        {
            **_all("user.unique_id", "asked", "pieces", "held_out"),
            **_all(
                OPERATIONS,
                *("id", "created", "outlook", "cost", "gap", "exploration_cost"),
                *("matcher_generation", "simulated", "trial_cost", "trial", "cancelled"),
                *("regions", "region_trial"),
            ),
        },
    ),
    Collection(
        "collaborations",
        Collaboration,
        "collaborations/",
        "What a merchant and a creator agreed to and where it stands",
        ("supplier_vendor",),
        (),
        {
            **_all("user.unique_id", "merchant_id", "creator_id"),
            **_all("user.content.public", "content"),
            **_all("user.content.private", "dispute"),
            **_all("user.financial", "rates", "terms"),
            **_all(
                OPERATIONS,
                *("id", "kind", "product_ids", "status", "sample", "respond_by", "created"),
                *("rate_locked_until", "content_due", "extension_asked", "extensions_granted"),
                *("attributable_until", "updated", "version"),
            ),
        },
    ),
    Collection(
        "targets",
        Target,
        "seller/targets.json",
        "What merchants aim at, by month",
        ("supplier_vendor",),
        (),
        {
            **_all("user.unique_id", "merchant"),
            **_all(OPERATIONS, "period", "indicator", "value"),
        },
    ),
    Collection(
        "commissions",
        Attribution,
        "collaborations/",
        "What an order earned a creator; the order line is a keyed hash",
        ("supplier_vendor", "customer"),
        (),
        {
            **_all(PSEUDONYMOUS, "order_line"),
            **_all("user.unique_id", "merchant_id", "creator_id"),
            **_all(PURCHASES, "product_id", "ordered", "amount", "refunded"),
            **_all(
                "user.financial",
                *("share", "commission_rate", "commission", "settled", "ceiling"),
            ),
            **_all(OPERATIONS, "collaboration_id", "frozen", "matures"),
        },
    ),
)

USES: Mapping[Purpose, str] = {
    Purpose.SEARCH: "functional.service.improve",
    Purpose.PERSONALISATION: "personalize.content.profiling",
    Purpose.ANALYTICS: "analytics.reporting",
    Purpose.MODEL_TRAINING: "train_ai_system",
    Purpose.CREATOR_MARKETING: "marketing.advertising.profiling",
}

_BASES: Mapping[Basis, str] = {
    Basis.CONSENT: "Consent",
    Basis.CONTRACT: "Contract",
    Basis.LEGITIMATE_INTERESTS: "Legitimate interests",
    Basis.EXPLICIT_CONSENT: "Consent",
}


@cache
def fields_of(kind: type) -> Mapping[str, Any]:
    """The fields of a contract, a pydantic model, a dataclass or a TypedDict, with their types."""
    hints = get_type_hints(kind, include_extras=False)
    if is_dataclass(kind):
        return {f.name: hints[f.name] for f in fields(kind)}
    if hasattr(kind, "model_fields"):
        return {name: hints[name] for name in kind.model_fields}
    return {name: hints[name] for name in kind.__annotations__}


def unannotated() -> list[str]:
    """Fields that the map does not know, and fields of the map that no contract has."""
    return sorted(
        f"{c.name}.{field}" for c in COLLECTIONS for field in set(fields_of(c.of)) ^ set(c.fields)
    )


def data_map(
    bases: Mapping[Purpose, Basis], retention: Mapping[str, int], *, shop: str = "shop"
) -> dict[str, Any]:
    """The map as a fideslang manifest: one `dataset`, one `system`.

    bases: legal basis of each purpose. retention: days by category of retention.
    """
    about_people = [c for c in COLLECTIONS if c.name == "events"]
    behaviour = sorted(
        {category for c in about_people for names in c.fields.values() for category in names}
        - {OPERATIONS}
    )
    return {
        "dataset": [
            {
                "fides_key": "tandem",
                "name": f"Tandem workspace of {shop}",
                "description": "Everything about people that a workspace stores",
                "collections": [_collection(c, retention) for c in COLLECTIONS],
            }
        ],
        "system": [
            {
                "fides_key": "tandem_system",
                "name": "Tandem",
                "description": "Search, recommendation and collaboration for creator commerce",
                "system_type": "Application",
                "uses_profiling": True,
                "dataset_references": ["tandem"],
                "privacy_declarations": [
                    _declaration(purpose, bases[purpose], behaviour, retention)
                    for purpose in Purpose
                ],
            }
        ],
    }


def _collection(collection: Collection, retention: Mapping[str, int]) -> dict[str, Any]:
    kept = ", ".join(f"{category} {retention[category]} days" for category in collection.kept)
    return {
        "name": collection.name,
        "description": f"{collection.about}. Stored in {collection.where}"
        + (f"; kept: {kept}." if kept else "."),
        "data_subjects": list(collection.subjects),
        "fields": [
            {
                "name": name,
                "data_categories": list(collection.fields[name]),
                "fides_meta": {"data_type": _kind(hint)},
            }
            for name, hint in fields_of(collection.of).items()
        ],
    }


def _declaration(
    purpose: Purpose, basis: Basis, categories: list[str], retention: Mapping[str, int]
) -> dict[str, Any]:
    return {
        "name": purpose.value,
        "data_categories": list(categories),
        "data_use": USES[purpose],
        "data_subjects": ["customer", "anonymous_user"],
        "dataset_references": ["tandem"],
        "legal_basis_for_processing": _BASES[basis],
        "flexible_legal_basis_for_processing": False,
        "retention_period": f"{retention['searches']} days",
        "processes_special_category_data": True,
        "special_category_legal_basis": "Explicit consent",
        "data_shared_with_third_parties": False,
    }


def _kind(hint: Any) -> str:
    """The fideslang data type of a Python type."""
    origin = get_origin(hint)
    if origin is Annotated:
        return _kind(get_args(hint)[0])
    if origin in (Union, types.UnionType):
        return _kind(next(a for a in get_args(hint) if a is not type(None)))
    if origin is Literal:
        return "string"
    if origin in (tuple, list):
        return f"{_kind(get_args(hint)[0])}[]"
    plain = {int: "integer", float: "float", bool: "boolean"}
    supertype = getattr(hint, "__supertype__", hint)
    if supertype in plain:
        return plain[supertype]
    is_text = isinstance(supertype, type) and issubclass(supertype, str)
    return "string" if is_text or "datetime" in str(supertype) else "object"
