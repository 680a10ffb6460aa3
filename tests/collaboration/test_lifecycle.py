"""What may happen when, and who may do it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from deals import CREATOR, LABEL, MERCHANT, PLATFORM, Clock, invitation, live, make_desk, order
from pydantic import ValidationError

from tandem.collaboration.desk import Desk, OutreachPolicy
from tandem.collaboration.lifecycle import applied, possible
from tandem.collaboration.verify import verify
from tandem.contracts.collaboration import (
    Accept,
    Apply,
    ApproveSample,
    AskExtension,
    Cancel,
    ChangeRate,
    Decline,
    Disclosure,
    End,
    Expire,
    GrantExtension,
    Invite,
    OpenDispute,
    Party,
    Publish,
    ReceiveSample,
    RefuseExtension,
    ResolveDispute,
    ShipSample,
    Terms,
    Withdraw,
)
from tandem.contracts.errors import Conflict, Forbidden, InvalidInput, NotFound


def test_the_whole_way_with_a_sample(desk: Desk, clock: Clock):
    c = desk.open(MERCHANT, invitation(Terms(sample=True)))
    assert (c.status, c.kind, c.sample) == ("INVITED", "target", None)
    c = desk.act(CREATOR, c.id, Accept())
    assert (c.status, c.sample, c.content_due) == ("ACCEPTED", "PENDING", None)
    clock.pass_days(60)  # nothing is due before the sample has come
    steps = ((MERCHANT, ApproveSample()), (MERCHANT, ShipSample()), (CREATOR, ReceiveSample()))
    seen = [desk.act(party, c.id, action).sample for party, action in steps]
    assert seen == ["AWAITING_SHIPMENT", "SHIPPED", "CONTENT_PENDING"]
    c = desk.get(CREATOR, c.id)
    assert c.content_due is not None
    assert (c.content_due - clock.now).days == 14
    c = desk.act(CREATOR, c.id, Publish(content_id="v1", disclosure=LABEL))
    assert (c.status, c.sample, c.content_due) == ("CONTENT_LIVE", "COMPLETED", None)
    c = desk.act(MERCHANT, c.id, End())
    assert c.status == "ENDED"
    assert [e.action["action"] for e in desk.history(MERCHANT, c.id)] == [
        *("invite", "accept", "approve_sample", "ship_sample", "receive_sample", "publish", "end")
    ]


def test_an_application_is_answered_by_the_merchant(desk: Desk):
    c = desk.open(
        CREATOR, Apply(merchant_id=MERCHANT.id, product_ids=("p1",), commission_rate=1000)
    )
    assert (c.status, c.kind) == ("APPLIED", "open")
    with pytest.raises(Conflict, match="other side"):
        desk.act(CREATOR, c.id, Accept())
    with pytest.raises(Conflict, match="only who asked"):
        desk.act(MERCHANT, c.id, Withdraw())
    assert desk.act(MERCHANT, c.id, Accept()).status == "CONTENT_DUE"


@pytest.mark.parametrize(
    ("party", "action", "status"),
    [
        (CREATOR, Decline(), "DECLINED"),
        (MERCHANT, Withdraw(), "WITHDRAWN"),
    ],
)
def test_ways_out_before_it_begins(desk: Desk, party, action, status):
    c = desk.open(MERCHANT, invitation())
    assert desk.act(party, c.id, action).status == status
    with pytest.raises(Conflict, match=f"it is {status}"):
        desk.act(CREATOR, c.id, Accept())


def test_cancelling_takes_the_sample_along_and_ends_with_live_content(desk: Desk):
    c = desk.open(MERCHANT, invitation(Terms(sample=True)))
    desk.act(CREATOR, c.id, Accept())
    c = desk.act(MERCHANT, c.id, Cancel(reason="out of stock"))
    assert (c.status, c.sample) == ("CANCELLED", "CANCELLED")
    other = live(desk)
    with pytest.raises(Conflict, match="CONTENT_LIVE"):
        desk.act(MERCHANT, other.id, Cancel(reason="too late"))


def test_deadlines_hold_whether_or_not_anybody_swept(desk: Desk, clock: Clock):
    waiting = desk.open(MERCHANT, invitation(Terms(respond_days=2)))
    clock.pass_days(2)
    with pytest.raises(Conflict, match="deadline passed"):
        desk.act(CREATOR, waiting.id, Accept())
    assert [c.status for c in desk.expire_overdue(PLATFORM)] == ["EXPIRED"]
    assert desk.expire_overdue(PLATFORM) == []

    late = desk.open(MERCHANT, invitation(Terms(content_days=3)))
    desk.act(CREATOR, late.id, Accept())
    with pytest.raises(Conflict, match="has not passed"):
        desk.act(PLATFORM, late.id, Expire())
    clock.pass_days(3)
    with pytest.raises(Conflict, match="deadline passed"):
        desk.act(CREATOR, late.id, Publish(content_id="v", disclosure=LABEL))
    assert [c.id for c in desk.expire_overdue(PLATFORM)] == [late.id]


def test_extensions_are_asked_for_granted_and_limited(desk: Desk, clock: Clock):
    c = desk.open(MERCHANT, invitation(Terms(content_days=3, extensions=1, extension_days=5)))
    due = desk.act(CREATOR, c.id, Accept()).content_due
    with pytest.raises(InvalidInput, match="more than the terms"):
        desk.act(CREATOR, c.id, AskExtension(days=6))
    desk.act(CREATOR, c.id, AskExtension(days=5))
    desk.act(MERCHANT, c.id, RefuseExtension())
    desk.act(CREATOR, c.id, AskExtension(days=4))
    moved = desk.act(MERCHANT, c.id, GrantExtension()).content_due
    assert moved is not None
    assert due is not None
    assert (moved - due).days == 4
    with pytest.raises(Conflict, match="extensions are used"):
        desk.act(CREATOR, c.id, AskExtension(days=1))


def test_a_rate_is_locked_downwards_only(desk: Desk, clock: Clock):
    c = live(desk, Terms(rate_lock_days=10), rate=1500)
    with pytest.raises(Conflict, match="locked"):
        desk.act(MERCHANT, c.id, ChangeRate(commission_rate=1000))
    clock.pass_days(1)
    c = desk.act(MERCHANT, c.id, ChangeRate(commission_rate=2000))
    clock.pass_days(9)
    c = desk.act(MERCHANT, c.id, ChangeRate(commission_rate=500))
    # Every order gets the rate of its own moment, whenever it is reported.
    start = c.created
    assert [c.rate_at(start.replace(day=d)) for d in (1, 2, 10, 11)] == [1500, 2000, 2000, 500]
    assert c.rate_at(clock.now) == 500


def test_content_without_a_visible_disclosure_is_refused(desk: Desk):
    c = desk.open(MERCHANT, invitation())
    desk.act(CREATOR, c.id, Accept())

    def publish(hashtag: str, caption: str) -> Publish:
        return Publish(
            content_id="v", caption=caption, disclosure=Disclosure(by="hashtag", hashtag=hashtag)
        )

    with pytest.raises(InvalidInput, match="does not hold"):
        desk.act(CREATOR, c.id, publish("ad", "So good! #adventure"))
    with pytest.raises(InvalidInput, match="does not tell"):
        desk.act(CREATOR, c.id, publish("love", "So good! #love"))
    with pytest.raises(ValidationError):
        Disclosure(by="hashtag")
    assert desk.act(CREATOR, c.id, publish("Werbung", "Gut! #WERBUNG")).status == "CONTENT_LIVE"


def test_a_dispute_stops_everything_and_its_time_does_not_count(desk: Desk, clock: Clock):
    c = desk.open(MERCHANT, invitation(Terms(content_days=5)))
    due = desk.act(CREATOR, c.id, Accept()).content_due
    desk.act(CREATOR, c.id, OpenDispute(reason="the product is another one"))
    clock.pass_days(30)
    assert desk.expire_overdue(PLATFORM) == []
    with pytest.raises(Conflict, match="dispute is open"):
        desk.act(CREATOR, c.id, Publish(content_id="v", disclosure=LABEL))
    with pytest.raises(Conflict, match="for platform"):
        desk.act(MERCHANT, c.id, ResolveDispute(outcome="refund"))
    after = desk.act(PLATFORM, c.id, ResolveDispute(outcome="release"))
    assert due is not None
    assert after.content_due is not None
    assert (after.content_due - due).days == 30


def test_outsiders_are_not_told_that_it_exists(desk: Desk):
    c = live(desk)
    for stranger in (Party(role="merchant", id="other"), Party(role="creator", id="other")):
        for ask in (desk.get, desk.history, desk.attributions, desk.balances):
            with pytest.raises(NotFound):
                ask(stranger, c.id)
        with pytest.raises(NotFound):
            desk.act(stranger, c.id, End())
        assert desk.find(stranger) == []
        assert desk.balances(stranger) == []
    # The same id in the other role is somebody else.
    with pytest.raises(NotFound):
        desk.get(Party(role="creator", id=MERCHANT.id), c.id)


def test_outreach_is_limited(tmp_path, clock: Clock):
    policy = OutreachPolicy(invitations_per_day=2, pause_days=10)
    desk = make_desk(tmp_path / "c.sqlite", clock, policy)

    def invite(creator: str):
        return desk.open(
            MERCHANT, Invite(creator_id=creator, product_ids=("p",), commission_rate=1)
        )

    first = invite("a")
    with pytest.raises(Conflict, match="INVITED"):
        invite("a")
    invite("b")
    with pytest.raises(Conflict, match="24 hours"):
        invite("c")
    clock.pass_days(1)
    desk.act(Party(role="creator", id="a"), first.id, Decline())
    with pytest.raises(Conflict, match="DECLINED"):
        invite("a")
    clock.pass_days(10.01)
    again = invite("a")
    assert again.status == "INVITED"
    # Taking an invitation back and sending the next one is no way around.
    for _ in range(2):
        desk.act(MERCHANT, again.id, Withdraw())
        clock.pass_days(1)
        again = invite("a")
    desk.act(MERCHANT, again.id, Withdraw())
    with pytest.raises(Conflict, match="3 approaches to the same party in 10 days"):
        invite("a")
    clock.pass_days(8.01)
    assert invite("a").status == "INVITED"


def test_an_unanswered_approach_is_over_whether_or_not_it_was_swept(desk: Desk, clock: Clock):
    desk.open(MERCHANT, invitation(Terms(respond_days=2)))
    clock.pass_days(1)
    with pytest.raises(Conflict, match="INVITED"):
        desk.open(MERCHANT, invitation())
    clock.pass_days(1)
    assert desk.open(MERCHANT, invitation()).status == "INVITED"


def test_agreements_are_no_vain_approaches(desk: Desk):
    for _ in range(5):
        live(desk)


def test_content_earns_from_the_agreement_on(desk: Desk, clock: Clock):
    """Who applies with what is live already is paid from when the merchant said yes."""
    asked = Apply(merchant_id=MERCHANT.id, product_ids=("p1",), commission_rate=1000)
    c = desk.open(CREATOR, asked)
    clock.pass_days(2)
    agreed = desk.act(MERCHANT, c.id, Accept()).updated
    clock.pass_days(1)
    with pytest.raises(InvalidInput, match="cannot have been live since"):
        desk.act(CREATOR, c.id, Publish(content_id="v", disclosure=LABEL, live=c.created))
    c = desk.act(CREATOR, c.id, Publish(content_id="v", disclosure=LABEL, live=agreed))
    with pytest.raises(Conflict, match="before content"):
        desk.attribute(PLATFORM, c.id, [order(1, ordered=c.created)])
    desk.attribute(PLATFORM, c.id, [order(1, ordered=agreed)])


def test_who_may_not_ask_at_all_is_told_so_first(desk: Desk, clock: Clock):
    def refused(party: Party, opening: Invite | Apply) -> None:
        raise Forbidden(f"no product of {party.id}", remedy="name your own")

    strict = Desk(desk.store, clock=clock, admit=refused)
    with pytest.raises(Conflict, match="a platform cannot invite"):
        strict.open(PLATFORM, invitation())
    with pytest.raises(Forbidden):
        strict.open(MERCHANT, invitation())


def test_books_stay_sound_that_had_content_earn_before_the_agreement(
    desk: Desk, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    """What was let in before it was asked is replayed as it was."""
    c = desk.open(MERCHANT, invitation())
    clock.pass_days(2)
    desk.act(CREATOR, c.id, Accept())
    with monkeypatch.context() as before:
        before.setattr("tandem.collaboration.desk.check_live", lambda *_: None)
        desk.act(CREATOR, c.id, Publish(content_id="v", disclosure=LABEL, live=c.created))
    desk.attribute(PLATFORM, c.id, [order(1, ordered=c.created)])
    assert verify(desk.store).findings == ()


def test_deadlines_of_the_same_instant_and_a_clock_that_goes_back(desk: Desk, clock: Clock):
    first, second = (desk.open(MERCHANT, i) for i in (invitation(), _invite("zoe")))
    assert first.respond_by == second.respond_by
    clock.now = first.respond_by
    assert {c.id for c in desk.expire_overdue(PLATFORM)} == {first.id, second.id}
    c = desk.open(MERCHANT, _invite("ann"))
    ann = Party(role="creator", id="ann")
    due = desk.act(ann, c.id, Accept()).content_due
    desk.act(ann, c.id, AskExtension(days=3))
    clock.pass_days(-5)
    granted = desk.act(MERCHANT, c.id, GrantExtension())
    assert due is not None
    assert granted.content_due == due + timedelta(days=3)
    assert granted.updated >= c.updated  # time here never runs back
    clock.now = due + timedelta(days=3)
    for party, late in ((ann, AskExtension(days=1)), (MERCHANT, GrantExtension())):
        with pytest.raises(Conflict, match=r"deadline passed|no extension"):
            desk.act(party, c.id, late)
    with pytest.raises(Conflict, match="deadline passed"):
        desk.act(ann, c.id, OpenDispute(reason="too late"))
    assert [e.status for e in desk.expire_overdue(PLATFORM)] == ["EXPIRED"]
    assert verify(desk.store).sound


def _invite(creator: str) -> Invite:
    return Invite(creator_id=creator, product_ids=("p1",), commission_rate=1000)


def test_a_key_makes_repeating_harmless(desk: Desk):
    first = desk.open(MERCHANT, invitation(), "k1")
    assert desk.open(MERCHANT, invitation(), "k1") == first
    with pytest.raises(Conflict, match="another request"):
        desk.open(MERCHANT, invitation(rate=1), "k1")
    accepted = desk.act(CREATOR, first.id, Accept(), "k1")  # keys are each party's own
    desk.act(CREATOR, first.id, Publish(content_id="v", disclosure=LABEL))
    assert desk.act(CREATOR, first.id, Accept(), "k1") == accepted
    assert len(desk.find(MERCHANT)) == 1
    with pytest.raises(InvalidInput):
        desk.act(CREATOR, first.id, Accept(), "k" * 129)


def test_what_is_offered_is_what_is_accepted(desk: Desk, clock: Clock):
    """`possible` lists exactly the actions that succeed, for every role and along the way."""
    actions = {
        "accept": Accept(),
        "decline": Decline(),
        "withdraw": Withdraw(),
        "approve_sample": ApproveSample(),
        "ship_sample": ShipSample(),
        "receive_sample": ReceiveSample(),
        "ask_extension": AskExtension(days=1),
        "grant_extension": GrantExtension(),
        "refuse_extension": RefuseExtension(),
        "publish": Publish(content_id="v", disclosure=LABEL),
        "change_rate": ChangeRate(commission_rate=9000),
        "open_dispute": OpenDispute(reason="?"),
        "resolve_dispute": ResolveDispute(outcome="release"),
        "cancel": Cancel(reason="?"),
        "end": End(),
        "expire": Expire(),
    }
    way = [
        *((CREATOR, "accept"), (MERCHANT, "approve_sample"), (MERCHANT, "ship_sample")),
        *((CREATOR, "receive_sample"), (CREATOR, "ask_extension"), (MERCHANT, "grant_extension")),
        *((CREATOR, "open_dispute"), (PLATFORM, "resolve_dispute"), (CREATOR, "publish")),
        (MERCHANT, "end"),
    ]
    c = desk.open(MERCHANT, invitation(Terms(sample=True)))
    for party, name in way:
        for who in (MERCHANT, CREATOR, PLATFORM):
            works = set()
            fresh = Publish(content_id=f"v{c.version}", disclosure=LABEL)  # live content is taken
            for other, action in {**actions, "publish": fresh}.items():
                try:
                    applied(c, who, action, clock.now)
                except Conflict:
                    continue
                works.add(other)
            assert works == set(possible(c, who.role, clock.now)), (c.status, who.role)
        c = desk.act(party, c.id, actions[name])


def test_orders_before_and_after_do_not_count(desk: Desk, clock: Clock):
    clock.pass_days(1)
    c = live(desk, Terms(attribution_days=2))
    with pytest.raises(Conflict, match="before content"):
        desk.attribute(PLATFORM, c.id, [order(1)])
    ended = clock.now
    desk.act(CREATOR, c.id, End())
    clock.pass_days(5)
    desk.attribute(PLATFORM, c.id, [order(2, ordered=ended)])
    with pytest.raises(Conflict, match="orders count until"):
        desk.attribute(PLATFORM, c.id, [order(3, ordered=clock.now)])
    with pytest.raises(InvalidInput, match="not part"):
        desk.attribute(PLATFORM, c.id, [order(4, ordered=ended, product="p9")])
    with pytest.raises(Conflict, match="cannot move money"):
        desk.attribute(MERCHANT, c.id, [order(5, ordered=ended)])
