"""`tandem collaborations` as its users meet it, from invitation to settlement."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from test_commands import run  # noqa: F401 - the fixture

from tandem.flows.collaborate import handles_of
from tandem.storage.layout import Layout


@pytest.fixture
def shop(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:  # noqa: F811
    monkeypatch.setenv("TANDEM_PSEUDONYM_KEYS", str(tmp_path / "keys"))
    run("init", tmp_path / "shop", "--encoder", "none")
    return tmp_path / "shop"


@pytest.fixture
def do(run, shop):  # noqa: F811
    """Run `tandem collaborations ARGS --json` in the shop; the code and the document."""

    def call(*args: object) -> tuple[int, dict]:
        code, out, err = run("collaborations", *args, "-w", shop, "--json")
        return code, json.loads(out) if out else {"error": err}

    return call


INVITE = ("invite", "--as", "merchant:acme", "--creator", "mia", "--products", "p1,p2")


def test_from_invitation_to_settlement(run, shop, do, tmp_path, monkeypatch):  # noqa: F811
    code, c = do(*INVITE, "--rate", 1500, "--key", "k1")
    assert (code, c["status"]) == (0, "INVITED")
    assert do(*INVITE, "--rate", 1500, "--key", "k1") == (0, c)
    id_ = c["id"]
    agreed = do("act", id_, "accept", "--as", "creator:mia")[1]
    assert agreed["status"] == "CONTENT_DUE"
    live = ("publish", "--as", "creator:mia", "--content", "v1", "--disclosure", "#ad")
    code, refused = do("act", id_, *live)
    assert code == 2
    assert "#ad" in refused["error"]
    since = datetime.fromisoformat(agreed["updated"])
    _, c = do("act", id_, *live, "--caption", "So good! #ad", "--live", since.isoformat())
    assert c["status"] == "CONTENT_LIVE"

    orders, refunds = tmp_path / "orders.csv", tmp_path / "refunds.csv"
    orders.write_text(
        "collaboration,order,line,product_id,ordered,amount,currency\n"
        f"{id_},secret-order,1,p1,{since.isoformat()},20.00,EUR\n"
        f"{id_},secret-order,2,p9,{since.isoformat()},20.00,EUR\n"
        f"{id_},secret-order,3,p1,{since.isoformat()},twenty,EUR\n"
    )
    refunds.write_text("refund,order,line,amount,currency\nr1,secret-order,1,5.00,EUR\n")
    for _ in range(2):  # a second time changes nothing
        code, recorded = do("orders", orders)
        assert (code, recorded["taken"]) == (0, 1)
        assert [r["line"] for r in recorded["rejected"]] == [3, 4]
        assert do("refunds", refunds)[1] == {"taken": 1, "rejected": []}
    assert do("settle")[1] == {"settlements": []}

    import tandem.collaboration.desk as module

    class Later(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + timedelta(days=15)

    monkeypatch.setattr(module, "datetime", Later)
    (settlement,) = do("settle", "--merchant", "acme")[1]["settlements"]
    assert settlement["amount"] == {"amount": "2.25", "currency": "EUR"}
    listed = do("settlements", "--as", "creator:mia")[1]
    assert listed["settlements"] == [settlement]
    assert {b["account"]: b["amount"] for b in listed["balances"]}["settled"] == "-2.25"
    _, shown = do("show", id_, "--as", "creator:mia")
    assert shown["possible"] == ["publish", "open_dispute", "end"]
    assert [e["action"]["action"] for e in shown["history"]] == [
        *("invite", "accept", "publish", "attribute")
    ]
    assert do("verify")[1] | {"entries": 0} == {
        "sound": True,
        "entries": 0,
        "collaborations": 1,
        "order_lines": 1,
        "settlements": 1,
        "findings": [],
    }
    refunds.write_text("refund,order,line,amount,currency\nr2,secret-order,1,15.00,EUR\n")
    assert do("refunds", refunds)[1]["taken"] == 1
    _, said, _ = run("collaborations", "settlements", "--as", "creator:mia", "-w", shop)
    assert "pending -2.25 EUR" in said, "what was settled and is refunded is not still to come"
    assert "settled 2.25 EUR" in said
    everything = b"".join(p.read_bytes() for p in (tmp_path / "shop").rglob("*") if p.is_file())
    assert b"secret-order" not in everything


def test_nobody_is_asked_who_withdrew_nor_about_another_merchants_product(run, shop, do, tmp_path):  # noqa: F811
    (tmp_path / "products.csv").write_text(
        "id,title,merchant,price,currency\np1,Lamp,acme,9,EUR\np2,Chair,rival,9,EUR\np3,Mat,,9,EUR\n"
    )
    assert run("import", "catalog", tmp_path / "products.csv", "-w", shop)[0] == 0
    code, refused = do(*INVITE, "--rate", 9)
    assert code != 0
    assert "'p2' is no product of acme" in refused["error"]
    own = ("--products", "p1,p3,p9", "--rate", 9)  # nobody's, and one that is not listed yet
    code, refused = do("apply", "--as", "creator:mia", "--merchant", "rival", *own)
    assert (code != 0, "name products of this merchant" in refused["error"]) == (True, True)
    first = ("invite", "--as", "merchant:acme", "--creator", "mia", *own)
    code, c = do(*first, "--key", "k")
    assert code == 0
    do("act", c["id"], "withdraw", "--as", "merchant:acme")
    consent = ("--as", "creator", "--purpose", "creator_marketing", "-w", shop)
    assert run("consent", "withdraw", "mia", *consent)[0] == 0
    code, refused = do(*first)
    assert (code != 0, "takes no invitations" in refused["error"]) == (True, True)
    assert do(*first, "--key", "k") == (0, c)  # the answer of then
    # Who wants to work with a merchant may still ask.
    assert do("apply", "--as", "creator:mia", "--merchant", "acme", *own)[0] == 0


def test_creators_are_called_by_their_handles_unless_they_withdrew(run, shop, tmp_path):  # noqa: F811
    layout = Layout.open(Path(shop))
    assert handles_of(layout, ["mia"]) == {}
    declared = '{"id": "mia", "handle": "mia.makes"}\n{"id": "ben", "handle": "ben.bakes"}\n'
    (tmp_path / "creators.jsonl").write_text(declared)
    assert run("import", "creators", tmp_path / "creators.jsonl", "-w", shop)[0] == 0
    asked = {"mia", "ben", "nobody declared"}
    assert handles_of(layout, asked) == {"mia": "mia.makes", "ben": "ben.bakes"}
    assert handles_of(layout, {"ben"}) == {"ben": "ben.bakes"}
    consent = ("--as", "creator", "--purpose", "creator_marketing", "-w", shop)
    assert run("consent", "withdraw", "mia", *consent)[0] == 0
    assert handles_of(layout, asked) == {"ben": "ben.bakes"}


def test_deadlines_and_lists(do, monkeypatch):
    _, c = do("apply", "--as", "creator:mia", "--merchant", "acme", "--products", "p", "--rate", 9)
    assert do("expire")[1] == {"expired": []}
    assert len(do("list", "--as", "merchant:acme", "--status", "APPLIED")[1]["collaborations"]) == 1
    assert do("list", "--as", "merchant:other")[1] == {"collaborations": []}
    import tandem.collaboration.desk as module

    class Later(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(UTC) + timedelta(days=8)

    monkeypatch.setattr(module, "datetime", Later)
    assert do("expire")[1] == {"expired": [c["id"]]}


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("act", "none", "accept", "--as", "creator:mia"), 3, "no collaboration"),
        (("act", "none", "fly", "--as", "creator:mia"), 2, "accept"),
        (("act", "none", "cancel", "--as", "creator:mia"), 2, "reason"),
        (("list", "--as", "mia"), 2, "merchant:ID"),
        (("orders", "{tmp}/none.csv"), 2, "none.csv"),
        (("orders", "{tmp}/short.csv"), 2, "product_id"),
    ],
)
def test_what_goes_wrong_is_said_with_a_remedy(do, tmp_path, arguments, code, says):
    (tmp_path / "short.csv").write_text("collaboration,order,line\n")
    found, printed = do(*(a.format(tmp=tmp_path) for a in arguments))
    assert found == code
    assert says in printed["error"]
    assert "Remedy" in printed["error"]


def test_people_read_plain_text(run, shop, do):  # noqa: F811
    _, c = do(*INVITE, "--rate", 1500, "--sample")
    code, out, _ = run("collaborations", "show", c["id"], "--as", "creator:mia", "-w", shop)
    assert code == 0
    assert "15% on p1, p2" in out
    assert "accept, decline" in out
    for command in ("list", "settle", "settlements", "expire", "verify"):
        code, out, _ = run("collaborations", command, "-w", shop)
        assert code == 0
    assert "every cent is there" in out


def test_a_plan_on_the_command_line(run, tmp_path):  # noqa: F811
    code, out, _ = run("match", "allocate", "--simulated", 60, "--solver", "highs", "--json")
    result = json.loads(out)
    assert code == 0
    assert result["simulated"] is True
    assert result["holds"] is True
    assert {c["constraint"] for c in result["checks"]} >= {"slots", "budgets", "exclusivity"}
    assert "independent ranking" in result["compared"]
    code, out, _ = run("match", "allocate", "--simulated", 60, "--solver", "highs")
    assert "SIMULATED" in out
    assert "Every limit holds" in out
    for arguments in ((), ("--simulated", 60, "--solver", "abacus"), (tmp_path,)):
        code, _, err = run("match", "allocate", *arguments)
        assert code == 2
        assert "Remedy" in err


def test_credit_and_lift_on_the_command_line(run, tmp_path):  # noqa: F811
    import numpy as np

    journeys, sales = tmp_path / "journeys.csv", tmp_path / "sales.csv"
    journeys.write_text(
        "journey,collaboration,at,converted\n"
        "j1,b,2026-03-02T00:00:00Z,1\nj1,a,2026-03-01T00:00:00Z,1\nj2,a,2026-03-01T00:00:00Z,0\n"
        "j3,,,0\n"
    )
    code, out, _ = run("collaborations", "credit", journeys, "--json")
    assert code == 0
    assert json.loads(out)["last_touch"]["conversions"] == {"a": 0, "b": 1}
    assert json.loads(out)["first_touch"]["conversions"] == {"a": 1, "b": 0}
    assert "nobody" in run("collaborations", "credit", journeys)[1]
    # What came after the order had no part in it; at the same time names decide, rows never.
    rows = [
        "j1,c,2026-03-03T00:00:00Z,1,2026-03-02T00:00:00Z",
        "j1,b,2026-03-02T01:00:00+01:00,1,2026-03-02T00:00:00Z",
        "j1,a,2026-03-02T00:00:00Z,1,2026-03-02T00:00:00Z",
        "j2,,,1,2026-03-02T00:00:00Z",
    ]
    for order in (rows, rows[::-1]):
        head = "journey,collaboration,at,converted,ordered\n"
        journeys.write_text(head + "\n".join(order) + "\n")
        credits = json.loads(run("collaborations", "credit", journeys, "--json")[1])
        assert credits["last_touch"] == {"conversions": {"a": 0, "b": 1}, "baseline": 1}
        for one in credits.values():
            assert sum(one["conversions"].values()) + one["baseline"] == pytest.approx(2)
    journeys.write_text(head + rows[0].replace(",1,", ",0,") + "\n")
    code, _, err = run("collaborations", "credit", journeys)
    assert (code, "ordered" in err) == (2, True)
    journeys.write_text("journey,collaboration,at,converted\nj1,b,2026-03-02T00:00:00Z,1\n")
    code, _, err = run("collaborations", "credit", journeys, "--models", "luck")
    assert (code, "shapley" in err) == (2, True)

    rng = np.random.default_rng(1)
    rows, first = ["day,product_id,sales"], datetime(2026, 1, 1, tzinfo=UTC)
    for day in range(70):
        level = 50 + 10 * np.sin(day / 3)
        for product, added in (("p", 30 * (day >= 60)), ("q", 0), ("r", 0)):
            text = (first + timedelta(days=day)).date().isoformat()
            rows.append(f"{text},{product},{rng.poisson(level + added)}")
    sales.write_text("\n".join(rows) + "\n")
    ask = ("collaborations", "lift", sales, "--product", "p", "--live")
    code, out, _ = run(*ask, "2026-03-02", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["answered"] is True
    assert found["low"] < 300 < found["high"]
    assert found["low"] > 0
    code, out, _ = run(*ask, "2026-03-02")
    assert "This assumes" in out
    assert json.loads(run(*ask, "2026-01-10", "--json")[1])["answered"] is False
    assert "No answer" in run(*ask, "2026-01-10")[1]
    sales.write_text("\n".join(rows[:-1]) + "\n")
    code, _, err = run(*ask, "2026-03-02")
    assert (code, "no row for 'r'" in err) == (2, True)


def test_a_market_learns_from_results_and_explores_on_the_command_line(run, tmp_path):  # noqa: F811
    market = tmp_path / "market"
    market.mkdir()
    (market / "creators.csv").write_text("creator,slots\nmia,2\neve,2\n")
    (market / "products.csv").write_text("product,merchant,places\np1,acme,2\np2,acme,2\n")
    (market / "merchants.csv").write_text("merchant,budget\nacme,10\n")
    pairs = "creator,product,value,cost,spread\nmia,p1,100,5,20\nmia,p2,90,5,20\neve,p1,60,5,50\n"
    (market / "pairs.csv").write_text(pairs)
    plan, again = tmp_path / "plan.csv", tmp_path / "again.csv"
    code, out, _ = run("match", "allocate", market, "--plan", plan, "--json")
    assert code == 0
    assert [line.split(",")[0] for line in plan.read_text().splitlines()[1:]] == ['"mia"', '"mia"']

    # Mia sold next to nothing, twice: eve, of whom nothing was heard, is the better bet now.
    results = tmp_path / "results.csv"
    results.write_text("creator,product,value\nmia,p1,0\nmia,p1,4\nmia,p2,0\nzoe,p1,7\n")
    known = ("--results", results, "--outcome-noise", 0.2, "--previous", plan)
    code, out, _ = run("match", "allocate", market, *known, "--plan", again, "--json")
    told = json.loads(out)
    assert code == 0
    assert told["results"] == {"learned_from": 3, "elsewhere": 1}
    assert told["simulated"] is False
    assert {(c["creator"], c["came_in"]) for c in told["changed"]} >= {("eve", True)}

    code, out, _ = run(
        "match", "allocate", market, *known, "--explore", 0.5, "--plan", again, "--json"
    )
    told = json.loads(out)
    assert told["holds"]
    assert told["exploration"]["pairs"] == again.read_text().count(",true")
    assert again.read_text().splitlines()[0].endswith(",explored")
    code, out, _ = run("match", "allocate", market, *known, "--explore", 0.5)
    assert "learned from 3 results" in out
    assert "try what is uncertain" in out

    results.write_text("creator,product,value\nmia,p1,much\n")
    code, _, err = run("match", "allocate", market, "--results", results)
    assert code == 2
    assert "results.csv:2" in err
    (market / "pairs.csv").write_text("creator,product,value,cost\nmia,p1,100,5\n")
    code, _, err = run("match", "allocate", market, "--explore", 0.1)
    assert code == 2
    assert "spread" in err
    code, _, err = run("match", "allocate", "--simulated", 20, "--explore", 0.1)
    assert code == 2
    assert "tandem match rounds" in err


def test_rounds_on_the_command_line(run):  # noqa: F811
    code, out, _ = run("match", "rounds", 40, "--periods", 2, "--json")
    ways = json.loads(out)["ways"]
    assert code == 0
    assert json.loads(out)["simulated"] is True
    assert set(ways) == {"once", "learning", "learning and exploring", "truth"}
    assert all(len(way["true"]) == 2 for way in ways.values())
    code, out, _ = run("match", "rounds", 40, "--periods", 2)
    assert "SIMULATED" in out
