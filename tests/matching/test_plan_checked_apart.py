"""Plans held against the files that they were made from, by a checker that shares no code with what
made them: it reads the files itself, counts in decimals, and solves programs of its own."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import Bounds, LinearConstraint, milp
from typer.testing import CliRunner

from tandem.cli.matching import match_app

CENT = Decimal("0.01")


def random_market(folder: Path, seed: int) -> Path:
    """Awkward on purpose: budgets that do not come out even, names with commas and quotes, a
    merchant without products, a creator without slots, products without places."""
    rng = np.random.default_rng(seed)
    folder.mkdir()
    creators = [f'c{n}, "the {n}th"' for n in range(12)]
    products, merchants = [f"p{n}" for n in range(15)], ["acme", "Zoë & Co", "last", "none"]

    def write(name: str, rows: list[list[object]]) -> None:
        with (folder / name).open("w", newline="") as handle:
            csv.writer(handle).writerows(rows)

    def flag(share: float) -> str:
        return str(bool(rng.random() < share)).lower()

    pairs = rng.permutation(len(creators) * len(products))[:90]
    write(
        "pairs.csv",
        [["creator", "product", "value", "cost", "exclusive", "risky", "spread"]]
        + [
            [
                creators[e // 15],
                products[e % 15],
                f"{rng.lognormal(4, 1):.4f}",
                f"{rng.lognormal(2, 1):.4f}",
                f"g{rng.integers(8)}" if rng.random() < 0.4 else "",
                flag(0.3),
                f"{rng.lognormal(3, 0.5):.3f}",
            ]
            for e in pairs.tolist()
        ],
    )
    slots = rng.integers(0, 4, len(creators))
    write(
        "creators.csv",
        [["creator", "slots", "small"]]
        + [[c, s, flag(0.5)] for c, s in zip(creators, slots, strict=True)],
    )
    write(
        "products.csv",
        [["product", "merchant", "places"]]
        + [[p, merchants[rng.integers(3)], rng.integers(0, 4)] for p in products],
    )
    write(
        "merchants.csv",
        [["merchant", "budget", "target", "small"]]
        + [[m, f"{rng.uniform(15, 90):.3f}", rng.integers(0, 8), flag(0.5)] for m in merchants],
    )
    return folder


class Raw:
    """The files as text, and every limit counted from them."""

    def __init__(self, folder: Path, risk_share: Decimal) -> None:
        def rows(name: str) -> list[dict[str, str]]:
            with (folder / name).open(newline="") as handle:
                return list(csv.DictReader(handle))

        self.pairs = {(r["creator"], r["product"]): r for r in rows("pairs.csv")}
        self.creators = {r["creator"]: r for r in rows("creators.csv")}
        self.products = {r["product"]: r for r in rows("products.csv")}
        self.merchants = {r["merchant"]: r for r in rows("merchants.csv")}
        self.risk_share = risk_share

    def merchant(self, pair: tuple[str, str]) -> str:
        return self.products[pair[1]]["merchant"]

    def cost(self, pair: tuple[str, str]) -> Decimal:
        return Decimal(self.pairs[pair]["cost"]).quantize(CENT, ROUND_CEILING)

    def budget(self, merchant: str) -> Decimal:
        return Decimal(self.merchants[merchant]["budget"]).quantize(CENT, ROUND_FLOOR)

    def limits(self) -> list[tuple[str, dict[tuple[str, str], Decimal], Decimal]]:
        """(kind, what each pair uses, the most) of every limit."""
        found = []

        def limit(kind: str, of: dict[object, dict[tuple[str, str], Decimal]], most) -> None:
            found.extend((kind, uses, Decimal(most(name))) for name, uses in of.items())

        grouped: dict[str, dict[object, dict[tuple[str, str], Decimal]]] = defaultdict(
            lambda: defaultdict(dict)
        )
        for pair, row in self.pairs.items():
            one = Decimal(1)
            grouped["slots"][pair[0]][pair] = one
            grouped["places"][pair[1]][pair] = one
            grouped["budgets"][self.merchant(pair)][pair] = self.cost(pair)
            if row["risky"] == "true":
                grouped["risk"][self.merchant(pair)][pair] = self.cost(pair)
            if row["exclusive"]:
                grouped["exclusivity"][row["exclusive"]][pair] = one
        limit("slots", grouped["slots"], lambda c: self.creators[c]["slots"])
        limit("places", grouped["places"], lambda p: self.products[p]["places"])
        limit("budgets", grouped["budgets"], self.budget)
        limit(
            "risk",
            grouped["risk"],
            lambda m: (self.budget(m) * self.risk_share).quantize(CENT, ROUND_FLOOR),
        )
        limit("exclusivity", grouped["exclusivity"], lambda _: 1)
        return found

    def floors(self, creator_floor: int, merchant_floor: int):
        """(kind, pairs that count, the least) of every target and floor."""
        for name, row in self.merchants.items():
            own = [p for p in self.pairs if self.merchant(p) == name]
            yield "targets", own, int(row["target"])
        small = {c for c, row in self.creators.items() if row["small"] == "true"}
        yield "creator floor", [p for p in self.pairs if p[0] in small], creator_floor
        little = {m for m, row in self.merchants.items() if row["small"] == "true"}
        counted = [p for p in self.pairs if self.merchant(p) in little]
        yield "merchant floor", counted, merchant_floor

    def best(self, floors, price: float, *, whole: bool) -> float:
        """The most that any plan is worth, by an own program: of whole pairs, or relaxed."""
        names = list(self.pairs)
        place = {pair: n for n, pair in enumerate(names)}
        floors = list(floors)
        limits = self.limits()
        rows = np.zeros((len(limits) + len(floors), len(names) + len(floors)))
        most = [float(limit) + 1e-9 for _, _, limit in limits] + [-float(n) for _, _, n in floors]
        for row, (_, uses, _) in zip(rows, limits, strict=False):
            row[[place[p] for p in uses]] = [float(use) for use in uses.values()]
        for n, (_, pairs, _) in enumerate(floors):
            row = rows[len(limits) + n]
            row[[place[p] for p in pairs]] = row[len(names) + n] = -1
        result = milp(
            [*(-float(self.pairs[p]["value"]) for p in names), *[price] * len(floors)],
            constraints=LinearConstraint(rows, -np.inf, most),
            integrality=[float(whole)] * len(names) + [0.0] * len(floors),
            bounds=Bounds(0, [1.0] * len(names) + [np.inf] * len(floors)),
        )
        assert result.status == 0
        return float(-result.fun)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("explore", [0.0, 0.3])
def test_a_plan_holds_against_the_files_alone(tmp_path: Path, seed: int, explore: float):
    folder, plan_file = random_market(tmp_path / "market", seed), tmp_path / "plan.csv"
    price, creator_floor, merchant_floor = 70.0, 5, 4
    told = CliRunner().invoke(
        match_app,
        [str(a) for a in ("allocate", folder, "--plan", plan_file, "--json", "--risk-share", 0.35)]
        + [str(a) for a in ("--creator-floor", creator_floor, "--merchant-floor", merchant_floor)]
        + [str(a) for a in ("--shortfall-price", price, "--explore", explore, "--seed", seed)],
    )
    assert told.exit_code == 0, told.output
    said = json.loads(told.stdout)
    raw = Raw(folder, Decimal("0.35"))
    with plan_file.open(newline="") as handle:
        plan = list(csv.DictReader(handle))
    chosen = [(row["creator"], row["product"]) for row in plan]
    assert len(set(chosen)) == len(chosen) == said["pairs"]
    assert set(chosen) <= set(raw.pairs)

    for kind, uses, most in raw.limits():
        used = sum((uses[p] for p in chosen if p in uses), Decimal(0))
        assert used <= most, (kind, used, most)
    assert said["holds"] is True
    for name, side in said["fairness"].items():
        small = {n for n, row in getattr(raw, name).items() if row["small"] == "true"}
        of = [pair[0] if name == "creators" else raw.merchant(pair) for pair in chosen]
        assert side["small"] == len(small)
        assert side["chosen"] == pytest.approx(sum(n in small for n in of) / len(of))
    short = {
        (kind, n): max(least - sum(p in set(pairs) for p in chosen), 0)
        for n, (kind, pairs, least) in enumerate(raw.floors(creator_floor, merchant_floor))
    }
    for kind in ("targets", "creator floor", "merchant floor"):
        check = next(c for c in said["checks"] if c["constraint"] == kind)
        assert check["shortfall"] == sum(n for (of, _), n in short.items() if of == kind)

    value = sum(float(raw.pairs[p]["value"]) for p in chosen)
    assert said["value"] == pytest.approx(value, rel=1e-9)
    assert sum(float(row["value"]) for row in plan) == pytest.approx(value, rel=1e-9)
    assert all(Decimal(row["cost"]) == raw.cost(p) for row, p in zip(plan, chosen, strict=True))
    assert [row["merchant"] for row in plan] == [raw.merchant(p) for p in chosen]
    objective = value - price * sum(short.values())
    assert said["objective"] == pytest.approx(objective, rel=1e-9)
    # The bound is that of the relaxation, and what the best plan is worth lies below it.
    relaxed, best = (
        raw.best(raw.floors(creator_floor, merchant_floor), price, whole=whole)
        for whole in (False, True)
    )
    assert said["bound"] == pytest.approx(relaxed, rel=1e-3)
    assert objective <= best + 1e-6 <= said["bound"] + 1e-4
    assert said["gap"] == pytest.approx((said["bound"] - objective) / said["bound"], abs=1e-9)
    if not explore:
        assert best - objective <= 0.05 * value
        return

    # Exploration stays within its part of every budget, and says what it is expected to cost.
    tried: dict[str, Decimal] = defaultdict(Decimal)
    for row, pair in zip(plan, chosen, strict=True):
        if row["explored"] == "true":
            tried[raw.merchant(pair)] += raw.cost(pair)
    for merchant, spent in tried.items():
        assert spent <= raw.budget(merchant) * Decimal("0.3")
    alone = CliRunner().invoke(
        match_app,
        [str(a) for a in ("allocate", folder, "--json", "--risk-share", 0.35)]
        + [str(a) for a in ("--creator-floor", creator_floor, "--merchant-floor", merchant_floor)]
        + [str(a) for a in ("--shortfall-price", price)],
    )
    without = json.loads(alone.stdout)["objective"]
    assert said["exploration"]["price"] == pytest.approx(without - objective, abs=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_what_is_missing_is_explained_and_no_plan_has_more(tmp_path: Path, seed: int):
    folder = random_market(tmp_path / "market", seed)
    said = json.loads(
        CliRunner()
        .invoke(
            match_app,
            [str(a) for a in ("allocate", folder, "--json", "--creator-floor", 60)]
            + [str(a) for a in ("--shortfall-price", 1e6)],
        )
        .stdout
    )
    raw = Raw(folder, Decimal(1))
    missing = said["missing"]
    assert {m["constraint"] for m in missing} <= {"targets", "creator floor", "merchant floor"}
    for check in said["checks"]:
        if check["constraint"] in ("targets", "creator floor", "merchant floor"):
            of = [m for m in missing if m["constraint"] == check["constraint"]]
            assert sum(m["asked"] - m["got"] for m in of) == check["shortfall"]
    floor = next(m for m in missing if m["constraint"] == "creator floor")
    assert floor["asked"] == 60
    assert floor["reason"].startswith("at most")
    small = {c for c, row in raw.creators.items() if row["small"] == "true"}
    slots = sum(
        min(int(raw.creators[c]["slots"]), sum(p[0] == c for p in raw.pairs)) for c in small
    )
    assert floor["got"] <= floor["possible"] <= slots
    for m in missing:
        if m["constraint"] != "targets":
            continue
        own = [p for p in raw.pairs if raw.merchant(p) == m["merchant"]]
        assert m["got"] <= m["possible"] <= len(own)
        left, pays = raw.budget(m["merchant"]), 0
        for cost in sorted(raw.cost(p) for p in own):
            left -= cost
            pays += left >= 0
        assert m["possible"] <= pays
        if not own and m["asked"]:
            assert "no more candidate pairs" in m["reason"]
