"""What may happen next in a collaboration, and what it leads to. Pure: no clock, no storage.

    INVITED ─┬─ accept ─ ACCEPTED ─ sample … received ─ CONTENT_DUE ─ publish ─ CONTENT_LIVE ─ ENDED
    APPLIED ─┘           (without a sample straight to CONTENT_DUE)

An unanswered approach or overdue content expires; before content is live either side may cancel;
a dispute stops everything until the platform resolves it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, get_args

from tandem.contracts.collaboration import (
    Accept,
    Action,
    Apply,
    ApproveSample,
    AskExtension,
    Cancel,
    ChangeRate,
    Collaboration,
    Decline,
    Dispute,
    End,
    Expire,
    GrantExtension,
    Invite,
    LiveContent,
    OpenDispute,
    Party,
    Publish,
    Rate,
    ReceiveSample,
    RefuseExtension,
    ResolveDispute,
    Role,
    ShipSample,
    Status,
    Withdraw,
)
from tandem.contracts.disclosure import DISCLOSING, hashtags
from tandem.contracts.errors import Conflict, InvalidInput, NotFound
from tandem.storage.collaborations import deadline


@dataclass(frozen=True, slots=True)
class _Rule:
    roles: frozenset[Role]
    statuses: frozenset[Status]


def _rule(roles: str, statuses: str) -> _Rule:
    return _Rule(frozenset(roles.split()), frozenset(statuses.split()))  # type: ignore[arg-type]


_WAITING = "INVITED APPLIED"
_UNDER_WAY = "ACCEPTED CONTENT_DUE CONTENT_LIVE"
_RULES: Mapping[type, _Rule] = {
    Accept: _rule("merchant creator", _WAITING),
    Decline: _rule("merchant creator", _WAITING),
    Withdraw: _rule("merchant creator", _WAITING),
    ApproveSample: _rule("merchant", "ACCEPTED"),
    ShipSample: _rule("merchant", "ACCEPTED"),
    ReceiveSample: _rule("creator", "ACCEPTED"),
    AskExtension: _rule("creator", "CONTENT_DUE"),
    GrantExtension: _rule("merchant", "CONTENT_DUE"),
    RefuseExtension: _rule("merchant", "CONTENT_DUE"),
    Publish: _rule("creator", "CONTENT_DUE CONTENT_LIVE"),
    ChangeRate: _rule("merchant", _UNDER_WAY),
    OpenDispute: _rule("merchant creator platform", f"{_UNDER_WAY} ENDED"),
    ResolveDispute: _rule("platform", f"{_UNDER_WAY} ENDED"),
    Cancel: _rule("merchant creator", "ACCEPTED CONTENT_DUE"),
    End: _rule("merchant creator", "CONTENT_LIVE"),
    Expire: _rule("platform", f"{_WAITING} CONTENT_DUE"),
}
_SAMPLE_NEEDED: Mapping[type, str] = {
    ApproveSample: "PENDING",
    ShipSample: "AWAITING_SHIPMENT",
    ReceiveSample: "SHIPPED",
}
_NAMES: Mapping[type, str] = {
    kind: kind.model_fields["action"].default for kind in get_args(get_args(Action)[0])
}


def opened(id_: str, party: Party, opening: Invite | Apply, now: datetime) -> Collaboration:
    """The collaboration that an invitation or an application begins."""
    wanted = "merchant" if isinstance(opening, Invite) else "creator"
    if party.role != wanted:
        raise Conflict(
            f"a {party.role} cannot {opening.action}", remedy=f"only a {wanted} can do that"
        )
    if len(set(opening.product_ids)) < len(opening.product_ids):
        raise InvalidInput(
            "a product is named twice", field="product_ids", remedy="name each product once"
        )
    invited = isinstance(opening, Invite)
    return Collaboration(
        id=id_,
        kind="target" if invited else "open",
        merchant_id=party.id if isinstance(opening, Invite) else opening.merchant_id,
        creator_id=opening.creator_id if isinstance(opening, Invite) else party.id,
        product_ids=opening.product_ids,
        terms=opening.terms,
        status="INVITED" if invited else "APPLIED",
        rates=(Rate(commission_rate=opening.commission_rate, effective=now),),
        respond_by=now + timedelta(days=opening.terms.respond_days),
        created=now,
        updated=now,
    )


def check_party(c: Collaboration, party: Party) -> None:
    """NotFound for everybody outside: others are not even told that it exists."""
    inside = {"merchant": c.merchant_id, "creator": c.creator_id}
    if party.role != "platform" and inside[party.role] != party.id:
        raise NotFound(
            f"no collaboration '{c.id}'", remedy="list them with: tandem collaborations list"
        )


def possible(c: Collaboration, role: Role, now: datetime) -> tuple[str, ...]:
    """Names of the actions that `role` may take now."""
    return tuple(name for kind, name in _NAMES.items() if _hindrance(c, role, kind, now) is None)


def applied(c: Collaboration, party: Party, action: Action, now: datetime) -> Collaboration:
    """The collaboration after `action`.

    Raises NotFound for a party of neither side, Conflict when the action is not possible now, and
    InvalidInput when it asks for what the terms do not allow.
    """
    check_party(c, party)
    now = max(now, c.updated)  # clocks of several machines differ; time here never runs back
    hindrance = _hindrance(c, party.role, type(action), now)
    if hindrance is not None:
        names = possible(c, party.role, now)
        raise Conflict(
            f"{party.role} cannot {action.action} collaboration {c.id}: {hindrance}",
            remedy=f"possible now: {', '.join(names)}"
            if names
            else "nothing is left for you to do here",
        )
    changes = _changes(c, party, action, now)
    return c.model_copy(update={**changes, "updated": now, "version": c.version + 1})


def _hindrance(c: Collaboration, role: Role, kind: type, now: datetime) -> str | None:
    """Why an action of this kind is not possible; None if it is."""
    rule = _RULES[kind]
    if c.status not in rule.statuses:
        return f"it is {c.status}"
    if role not in rule.roles:
        return f"this is for {' or '.join(sorted(rule.roles))}"
    if (c.dispute is not None) != (kind is ResolveDispute):
        return "a dispute is open" if c.dispute is not None else "there is no dispute"
    due = deadline(c)
    late = due is not None and now >= due
    if late != (kind is Expire) and kind is not ResolveDispute:
        return f"its deadline passed at {due}" if late else "its deadline has not passed"
    if kind in (Accept, Decline, Withdraw):
        own = role == ("merchant" if c.kind == "target" else "creator")
        if own is not (kind is Withdraw):
            return "the other side has to answer" if own else "only who asked can withdraw"
    if kind in _SAMPLE_NEEDED and c.sample != _SAMPLE_NEEDED[kind]:
        return f"the sample is {c.sample}" if c.sample else "no sample was agreed"
    if kind is AskExtension and c.extensions_granted >= c.terms.extensions:
        return f"all {c.terms.extensions} extensions are used"
    if kind is AskExtension and c.extension_asked is not None:
        return "an extension is asked for already"
    if kind in (GrantExtension, RefuseExtension) and c.extension_asked is None:
        return "no extension was asked for"
    return None


def _changes(c: Collaboration, party: Party, action: Action, now: datetime) -> dict[str, Any]:
    match action:
        case Accept():
            locked = {"rate_locked_until": now + timedelta(days=c.terms.rate_lock_days)}
            if c.terms.sample:
                return {"status": "ACCEPTED", "sample": "PENDING", **locked}
            return {**_due(c, now), **locked}
        case Decline():
            return {"status": "DECLINED"}
        case Withdraw():
            return {"status": "WITHDRAWN"}
        case ApproveSample():
            return {"sample": "AWAITING_SHIPMENT"}
        case ShipSample():
            return {"sample": "SHIPPED"}
        case ReceiveSample():
            return {"sample": "CONTENT_PENDING", **_due(c, now)}
        case AskExtension():
            if action.days > c.terms.extension_days:
                raise InvalidInput(
                    f"{action.days} days are more than the terms allow",
                    field="days",
                    remedy=f"ask for {c.terms.extension_days} days or less",
                )
            return {"extension_asked": action.days}
        case GrantExtension():
            assert c.content_due is not None
            assert c.extension_asked is not None
            return {
                "content_due": c.content_due + timedelta(days=c.extension_asked),
                "extension_asked": None,
                "extensions_granted": c.extensions_granted + 1,
            }
        case RefuseExtension():
            return {"extension_asked": None}
        case Publish():
            return _published(c, action, now)
        case ChangeRate():
            return _rate_changed(c, action, now)
        case OpenDispute():
            return {"dispute": Dispute(opened_by=party.role, opened=now, reason=action.reason)}
        case ResolveDispute():
            return _resolved(c, action, now)
        case Cancel():
            return {"status": "CANCELLED", **_over(c)}
        case End():
            until = now + timedelta(days=c.terms.attribution_days)
            return {"status": "ENDED", "attributable_until": until}
        case Expire():
            return {"status": "EXPIRED", "content_due": None, "extension_asked": None}


def _due(c: Collaboration, now: datetime) -> dict[str, Any]:
    return {
        "status": "CONTENT_DUE",
        "content_due": now + timedelta(days=c.terms.content_days),
    }


def _over(c: Collaboration) -> dict[str, Any]:
    """What ends with a collaboration that never came to content."""
    sample = c.sample if c.sample in (None, "COMPLETED") else "CANCELLED"
    return {"content_due": None, "extension_asked": None, "sample": sample}


def _published(c: Collaboration, action: Publish, now: datetime) -> dict[str, Any]:
    disclosure = action.disclosure
    if disclosure.hashtag is not None:
        tag = disclosure.hashtag.casefold()
        shown = {t.casefold() for t in hashtags(action.caption)}
        if tag not in DISCLOSING:
            raise InvalidInput(
                f"#{disclosure.hashtag} does not tell viewers that the content is paid for",
                field="disclosure",
                remedy="use the platform's label for paid content, or a hashtag such as #ad",
            )
        if tag not in shown:
            raise InvalidInput(
                f"the caption does not hold #{disclosure.hashtag}",
                field="caption",
                remedy="put the hashtag into the caption, or use the platform's label",
            )
    if any(known.content_id == action.content_id for known in c.content):
        raise Conflict(
            f"content '{action.content_id}' is live already", remedy="name other content"
        )
    since = now if action.live is None else action.live
    if not c.created <= since <= now:
        raise InvalidInput(
            f"content cannot have been live since {since}",
            field="live",
            remedy=f"name a time from {c.created} until now",
        )
    return {
        "status": "CONTENT_LIVE",
        "sample": None if c.sample is None else "COMPLETED",
        "content_due": None,
        "extension_asked": None,
        "content": (
            *c.content,
            LiveContent(content_id=action.content_id, live=since, disclosure=disclosure),
        ),
    }


def check_live(c: Collaboration, action: Action) -> None:
    """InvalidInput for content that was live before both agreed: nothing was owed for it then.

    No part of `applied`, which replays books that were written before this was asked as well.
    """
    if not isinstance(action, Publish) or action.live is None or c.rate_locked_until is None:
        return
    agreed = c.rate_locked_until - timedelta(days=c.terms.rate_lock_days)
    if action.live < agreed:
        raise InvalidInput(
            f"content cannot have been live since {action.live}",
            field="live",
            remedy=f"name a time from {agreed} until now",
        )


def _rate_changed(c: Collaboration, action: ChangeRate, now: datetime) -> dict[str, Any]:
    current, new = c.rates[-1].commission_rate, action.commission_rate
    if new < current and c.rate_locked_until is not None and now < c.rate_locked_until:
        raise Conflict(
            f"the rate is locked at {current} basis points until {c.rate_locked_until}",
            remedy="raise it, or wait until the lock ends",
        )
    if new == current:
        raise InvalidInput(
            f"the rate is {current} basis points already",
            field="commission_rate",
            remedy="name another rate",
        )
    return {"rates": (*c.rates, Rate(commission_rate=new, effective=now))}


def _resolved(c: Collaboration, action: ResolveDispute, now: datetime) -> dict[str, Any]:
    assert c.dispute is not None
    if action.outcome == "release":
        waited = now - c.dispute.opened
        due = None if c.content_due is None else c.content_due + waited
        return {"dispute": None, "content_due": due}
    if not c.content:
        return {"dispute": None, "status": "CANCELLED", **_over(c)}
    until = now if c.attributable_until is None else min(now, c.attributable_until)
    return {"dispute": None, "status": "ENDED", "attributable_until": until}
