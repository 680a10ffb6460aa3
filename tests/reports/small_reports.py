"""One report of every kind, verdict and reader. All data is made up."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np

from tandem.contracts.campaign import (
    Campaign,
    CampaignResults,
    CampaignView,
    NewCampaign,
    Outlook,
    PlannedPiece,
    RegionPlan,
    RegionResult,
    TrialResult,
)
from tandem.contracts.collaboration import Collaboration, Rate, Terms
from tandem.contracts.matching import Estimate, Expectation
from tandem.contracts.merchant_week import AskedFor, MerchantWeek, WeekFigures
from tandem.contracts.product import Money
from tandem.contracts.registry import Decision, Gate, RegisteredModel
from tandem.contracts.search_performance import Funnel, QueryPerformance, SearchPerformance
from tandem.experiments.abtest.analysis import Analysis, Design, analyse
from tandem.experiments.abtest.effects import Metric
from tandem.experiments.abtest.restraint import novelty
from tandem.reports import campaign, experiment, insight, partners, promotion, weekly
from tandem.reports.report import AUDIENCES, Report

AT = datetime(2026, 3, 26, 12, tzinfo=UTC)


def _analysis(lift: float, *, n: int = 8_000, planned: int = 8_000, split: float = 0.5) -> Analysis:
    rng = np.random.default_rng(0)
    treated = rng.random(n) < split
    return analyse(
        np.where(treated, "treatment", "control"),
        {
            "revenue": rng.gamma(2.0, 10 * (1 + lift * treated)),
            "clicks": rng.poisson(2, n).astype(float),
            "views": rng.poisson(5, n) + 1.0,
        },
        [Metric("revenue", "revenue"), Metric("ctr", "clicks", "views", role="guardrail")],
        control="control",
        treatment="treatment",
        shares={"control": 0.5, "treatment": 0.5},
        segments={"country": np.where(rng.random(n) < 0.5, "DE", "FR")},
        planned=planned,
        name="New ranking",
        simulated=True,
    )


EXPERIMENTS = {
    "ship": _analysis(0.15),
    "do_not_ship": _analysis(-0.15),
    "keep_running": _analysis(0.0, n=1_000),
    "invalid": _analysis(0.1, split=0.4),
}


FADING = novelty(
    np.random.default_rng(1).normal(
        np.exp(-(np.arange(12_000) % 12) / 3) * (np.arange(12_000) < 6_000)
    ),
    np.arange(12_000) % 12,
    np.arange(12_000) < 6_000,
)
STEADY = novelty(
    np.random.default_rng(2).normal(size=9_000), np.arange(9_000) % 9, np.arange(9_000) < 4_500
)
DESIGNS = {
    "clusters": replace(
        EXPERIMENTS["ship"], design=Design("clusters", clusters_of="merchant"), heterogeneity={}
    ),
    "switchback": replace(
        EXPERIMENTS["keep_running"], design=Design("switchback", dropped=1_234), heterogeneity={}
    ),
}


def finding(number: int, lost: tuple[float, float, float] | None) -> dict[str, Any]:
    value = None if lost is None else dict(zip(("estimate", "low", "high"), lost, strict=True))
    return {
        "rank": number,
        "id": f"device-{number}",
        "cause": "device",
        "title": "On a phone, searches lead to the cart less often",
        "searches": 1_234 + number,
        "clients": 321,
        "success": {"estimate": 0.21, "low": 0.17, "high": 0.26},
        "expected": 0.5,
        "q_value": 0.0004,
        "lost_sales": value,
        "fix": {"kind": "rule", "summary": "Show first what can be bought", "payload": {}},
        "examples": [[{"text": "a secret", "results": 3}]],
    }


FINDINGS = [finding(1, (5_321.4, 3_210.2, 7_654.9)), finding(2, (410.0, -99.0, 930.0))]


def insights(findings: list[dict[str, Any]]) -> dict[str, Any]:
    day = date(2026, 3, 1)
    rows = [
        {"day": str(day + timedelta(days=i)), "zero_results": 0.02 + 0.001 * i} for i in range(9)
    ]
    return {
        "simulated": True,
        "searches": 13_701,
        "sessions": 8_042,
        "tests": 86,
        "false_discovery_rate": 0.05,
        "currency": "EUR",
        "period": {"from": "2026-03-01T00:00:00+00:00", "to": "2026-03-28T09:00:00+00:00"},
        "health": {"zero_results": 0.028},
        "drift": {"now_from": None, "alerts": [], "days": rows},
        "findings": findings,
    }


EVALUATION = {
    "systems": {
        "bm25": {"nDCG@10": {"mean": 0.612, "low": 0.571, "high": 0.653}},
        "ltr": {"nDCG@10": {"mean": 0.701, "low": 0.664, "high": 0.742}},
    },
    "comparisons": [
        {
            "system": "ltr",
            "baseline": "bm25",
            "measure": "nDCG@10",
            "difference": {"mean": 0.0891, "low": 0.0312, "high": 0.1423},
        }
    ],
    "protocol": "5-fold",
}


def model(stage: Any, gates: tuple[Gate, ...]) -> RegisteredModel:
    decision = Decision(
        number=1, at=AT, generation="g000002-x", stage=stage, who="mia", why="more", gates=gates
    )
    return RegisteredModel(
        generation="g000002-x",
        stage=stage,
        model="catboost",
        trained_at=AT.isoformat(),
        metrics={"nDCG@10": EVALUATION["systems"]["ltr"]["nDCG@10"]},  # type: ignore[index]
        lineage={"judgments": "ours", "queries": 83, "data_fingerprint": "ab" * 32},
        decisions=(decision,),
    )


_PASSED = tuple(
    Gate(name=name, passed=True, says="as good")  # type: ignore[arg-type]
    for name in ("quality", "latency", "exposure", "privacy")
)
_REFUSED = (
    Gate(name="quality", passed=False, says="worse"),
    Gate(name="latency", passed=None, says="not measured"),
)


def week(**changes: Any) -> weekly.Week:
    rate = weekly.Rate(38.13, 32.65, 43.6)
    values: dict[str, Any] = {
        "since": date(2026, 3, 22),
        "until": date(2026, 3, 29),
        "simulated": True,
        "currency": "EUR",
        "searches": 3_068,
        "searches_before": 3_435,
        "shoppers": 1_414,
        "sales_per_search": rate,
        "sales_change": weekly.Rate(-6.78, -9.69, -3.26),
        "empty": weekly.Rate(0.025, 0.021, 0.029),
        "empty_change": weekly.Rate(0.004, -0.002, 0.01),
        "days": tuple(
            weekly.Day(f"2026-03-{d}", 440 + d, weekly.Rate(30.0 + d, 25.0 + d, 36.5 + d))
            for d in range(20, 29)
        ),
        "findings": tuple(FINDINGS),
        "tests": 16,
        "alerts": (
            {
                "kind": "rate",
                "name": "zero_results",
                "says": "Searches without results: 0.02 before, 0.03 now",
                "before": 0.0212,
                "now": 0.0318,
                "worse": True,
                "q_value": 0.003,
            },
        ),
        "experiments": ({"name": "New ranking", "verdict": "ship", "says": "Ship it."},),
        "decisions": model("live", _PASSED).decisions,
        "candidates": ("g000003-x",),
    }
    return weekly.Week(**{**values, **changes})


def performance(queries: int) -> SearchPerformance:
    rows = tuple(
        QueryPerformance(
            query="warm socks" if i else "wool hat",
            search_query_volume=812 + i,
            people=400,
            market=Funnel(impressions=9_000, clicks=700, carts=90, purchases=40),
            own=Funnel(impressions=900, clicks=63, carts=9, purchases=4) if i else None,
            click_share=0.09 if i else None,
            place=7 if i else None,
            results=12,
            chance="opportunity" if i else None,
        )
        for i in range(queries)
    )
    return SearchPerformance(
        merchant="North",
        period="2026-03",
        k=50,
        queries=rows,
        withheld={"few_people": 31},
        simulated=True,
    )


def collaboration(status: Any) -> Collaboration:
    return Collaboration(
        id=f"c-{status.lower()}",
        kind="target",
        merchant_id="north",
        creator_id="ada",
        product_ids=("P1",),
        terms=Terms(),
        status=status,
        rates=(Rate(commission_rate=1_000, effective=AT),),
        respond_by=AT,
        created=AT,
        updated=AT,
    )


def standing(*states: str) -> partners.CreatorStanding:
    money = {"EUR": 25.5} if states else {}
    return partners.CreatorStanding(
        "ada", tuple(collaboration(s) for s in states), money, money, True
    )


WORTH = promotion.ModelWorth(
    "EUR", "more-judgments", 4_200, 310_000, 12_400.0, 3_100.0, 21_900.0, True, ""
)
OWN = WeekFigures(people=412, shown=5_120, clicks=633, carts=70, orders=31, sales=1_234.5)


def merchant_week(**changes: Any) -> MerchantWeek:
    values: dict[str, Any] = {
        "merchant": "North",
        "period": "2026-W13",
        "since": date(2026, 3, 23),
        "until": date(2026, 3, 30),
        "k": 50,
        "currency": "EUR",
        "now": OWN,
        "before": WeekFigures(people=301, shown=4_000, clicks=500, carts=60),
        "products": (("Wool hat", OWN), ("Warm socks", WeekFigures(people=60, clicks=77))),
        "queries": (AskedFor(query="wool hat", people=120, clicks=200),),
        "withheld": {"few_people": 7},
        "simulated": True,
    }
    return MerchantWeek(**{**values, **changes})


def followed(
    status: Any, live: int = 1, gmv: str = "50", trial: dict[str, Any] | None = None, **told: Any
) -> CampaignView:
    one = Expectation(
        clicks=Estimate(expected=80, low=30, high=190),
        orders=Estimate(expected=4, low=1, high=11),
        gmv=Estimate(expected=200.4, low=50, high=600),
        currency="EUR",
    )
    asked = NewCampaign(
        merchant_id="North",
        name="Spring hats",
        budget=Money(amount="300", currency="EUR"),
        starts=date(2026, 4, 1),
        ends=date(2026, 4, 30),
        product_ids=("P1",),
    )
    pieces = tuple(
        PlannedPiece(
            creator_id=name,
            product_id="P1",
            one_piece=one,
            cost=Money(amount="40.50", currency="EUR"),
            exploring=name == "bo",
            reasons=("made hats before",),
        )
        for name in ("ada", "bo")
    )
    made = Campaign(
        id="c1",
        asked=asked,
        created=AT,
        pieces=pieces,
        outlook=Outlook(
            clicks=Estimate(expected=160, low=80, high=300),
            orders=Estimate(expected=8, low=3, high=18),
            gmv=Estimate(expected=400.8, low=150, high=900),
        ),
        cost=Money(amount="81", currency="EUR"),
        gap=0.02,
        exploration_cost=1.0,
        matcher_generation="g000001-x",
        simulated=True,
    )
    results = CampaignResults(
        id="c1",
        status=status,
        planned=2,
        live=live,
        creators=live,
        clicks=30 * live,
        orders=2 * live,
        gmv=Money(amount=gmv if live else "0", currency="EUR"),
        progress=0.4,
        reached=0.1,
        simulated=True,
    ).model_copy(update=told)
    return CampaignView(campaign=made.model_copy(update=trial or {}), results=results)


REGIONS = RegionPlan(
    shown=("DE-BY", "DE-HE"),
    not_shown=("DE-NW", "DE-BW"),
    share=0.5,
    days_before=28,
    usual=120.0,
    detectable=30.0,
    power=0.2,
)


REPORTS: dict[str, Report] = {
    **{
        f"experiment {verdict} {audience}": experiment.report(
            found, experiment.worth(found, "revenue", "EUR", 500_000), audience
        )
        for verdict, found in EXPERIMENTS.items()
        for audience in AUDIENCES
    },
    **{
        f"experiment {design} {audience}": experiment.report(found, None, audience)
        for design, found in DESIGNS.items()
        for audience in AUDIENCES
    },
    "experiment fading": experiment.report(EXPERIMENTS["ship"], seen=("revenue", FADING)),
    "experiment steady": experiment.report(EXPERIMENTS["ship"], seen=("revenue", STEADY)),
    "experiment invalid by day": experiment.report(EXPERIMENTS["invalid"], seen=("clicks", FADING)),
    "experiment without money": experiment.report(EXPERIMENTS["ship"]),
    "insight found": insight.report(insights(FINDINGS)),
    "insight unsure": insight.report(insights([FINDINGS[1]])),
    "insight unpriced": insight.report(insights([finding(1, None)])),
    "insight none": insight.report(insights([])),
    **{
        f"model {name} {audience}": promotion.report(
            model(stage, gates), EVALUATION, simulated=True, audience=audience
        )
        for name, stage, gates in (
            ("live", "live", _PASSED),
            ("candidate", "candidate", ()),
            ("refused", "candidate", _REFUSED),
            ("retired", "retired", _PASSED),
            ("shadow", "shadow", ()),
            ("canary", "canary", _PASSED),
        )
        for audience in AUDIENCES
    },
    "weekly decide": weekly.report(week()),
    "weekly calm": weekly.report(
        week(
            findings=(),
            alerts=(),
            experiments=(),
            candidates=(),
            decisions=(),
            sales_change=weekly.Rate(0.5, -4.0, 5.0),
        )
    ),
    "weekly first": weekly.report(week(sales_change=None, empty_change=None, searches_before=0)),
    "weekly none": weekly.report(
        week(
            searches=0,
            shoppers=0,
            findings=(),
            alerts=(),
            days=(),
            candidates=(),
            experiments=(),
            sales_change=None,
            empty_change=None,
            sales_per_search=weekly.Rate(None, None, None),
            empty=weekly.Rate(None, None, None),
        )
    ),
    **{
        f"campaign {name}": campaign.campaign_report(followed(**values))
        for name, values in {
            "planned": {"status": "planned", "live": 0},
            "running": {"status": "running"},
            "below": {"status": "ended", "gmv": "90"},
            "within": {"status": "ended", "gmv": "410.5"},
            "above": {"status": "ended", "gmv": "4000"},
            "cancelled": {"status": "cancelled"},
            "with a trial": {
                "status": "ended",
                "trial": {
                    "trial": TrialResult(
                        asked_creators=4,
                        held_creators=3,
                        added=12.3,
                        low=-4.0,
                        high=28.2,
                        assumptions=("Who was asked was decided by lot.",),
                    )
                },
            },
            "in some regions": {"status": "planned", "live": 0, "trial": {"regions": REGIONS}},
            "with a trial by regions": {
                "status": "ended",
                "trial": {
                    "regions": REGIONS,
                    "region_trial": RegionResult(pairs=2, added=40.0, low=11.0, high=63.0),
                },
            },
            "with a trial that tells nothing": {
                "status": "ended",
                "trial": {
                    "regions": REGIONS,
                    "region_trial": RegionResult(pairs=2, reason="fewer than 50 people ordered"),
                },
            },
            "withheld": {
                "status": "ended",
                "gmv": "100",
                "orders": None,
                "gmv_exact": False,
                "gmv_high": Money(amount="300", currency="EUR"),
            },
        }.items()
    },
    "model with a worth": promotion.report(
        model("live", _PASSED), EVALUATION, simulated=False, money=WORTH
    ),
    "model of doubtful worth": promotion.report(
        model("live", _PASSED), EVALUATION, simulated=True, money=replace(WORTH, low=-9_500.0)
    ),
    "week up": partners.merchant_week_report(merchant_week()),
    "week as before": partners.merchant_week_report(merchant_week(before=OWN)),
    "week down": partners.merchant_week_report(
        merchant_week(before=WeekFigures(people=900, shown=9_000, clicks=2_000, carts=90))
    ),
    "week without money": partners.merchant_week_report(
        merchant_week(now=OWN.model_copy(update={"sales": None, "orders": None}))
    ),
    "week first": partners.merchant_week_report(
        merchant_week(before=WeekFigures(), products=(), queries=())
    ),
    "week not told": partners.merchant_week_report(
        merchant_week(now=WeekFigures(), before=WeekFigures(), products=(), queries=())
    ),
    "merchant some": partners.merchant_report("weekly", performance(2)),
    "merchant high": partners.merchant_report("insight", performance(1)),
    "merchant none": partners.merchant_report("insight", performance(0)),
    "creator due": partners.creator_report("weekly", standing("CONTENT_DUE", "INVITED")),
    "creator on track": partners.creator_report("weekly", standing("CONTENT_LIVE", "APPLIED")),
    "creator none": partners.creator_report("insight", standing()),
}
