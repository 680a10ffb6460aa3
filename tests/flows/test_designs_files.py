"""Designs against interference from files and stored events: planned, and analysed. All data is
made up."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from event_rows import event
from tandem.cli.main import app
from tandem.contracts.errors import InvalidInput
from tandem.experiments.abtest.designs import cluster_effect
from tandem.experiments.abtest.planning import past, plan
from tandem.flows.designs import clusters_of, novelty_of_file, past_of_file, schedule_of
from tandem.flows.experiment import analyse_file

START = datetime(2026, 12, 1, tzinfo=UTC)


def run(*arguments: object) -> dict:
    done = CliRunner().invoke(app, [*map(str, arguments), "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def observations(schedule, effect: float, *, seed: int = 0, n: int = 20) -> pd.DataFrame:
    """Orders in each period; in its first quarter after a switch the former arm has its hold."""
    rng = np.random.default_rng(seed)
    rows = []
    before: dict[str, str] = {}
    for place, starts, ends, variant in schedule.rows:
        for share in np.sort(rng.random(n)):
            arm = before.get(place, variant) if share < 0.25 else variant
            value = 2 + effect * (arm == "treatment") + rng.normal(0, 1)
            rows.append((place, (starts + share * (ends - starts)).isoformat(), value))
        before[place] = variant
    return pd.DataFrame(rows, columns=["place", "at", "orders"]).assign(simulated=True)


def test_a_switchback_from_plan_to_report(tmp_path):
    plan_file, log, page = (tmp_path / n for n in ("plan.csv", "log.csv", "page.json"))
    planned = run(
        *("experiment", "schedule", "--places", "de,fr,it", "--start", "2026-12-01T00:00:00Z"),
        *("--salt", "fees", "--periods", 40, "--to", plan_file),
    )
    assert (planned["places"], planned["periods"], planned["treated"]) == (3, 120, 60)
    schedule = schedule_of(["de", "fr", "it"], 40, 12, "2026-12-01T00:00:00Z", "fees")
    assert plan_file.read_text() == schedule.csv()
    observations(schedule, 0.6).to_csv(log, index=False)
    found = run("experiment", "analyse", log, "--schedule", plan_file, "--planned", 120)
    assert found["design"]["kind"] == "switchback"
    assert found["design"]["dropped"] > 0
    assert found["units"] == 120, "what is counted is a period of a place"
    assert found["simulated"] is True
    assert found["decision"]["verdict"] == "ship"
    orders = found["metrics"]["orders"]
    assert orders["low"] < 0.6 < orders["high"]
    whole = analyse_file(log, schedule=plan_file, burn_in=0.0).effects["orders"]
    assert whole.difference < orders["difference"], "what is carried over counts against it"
    run("report", "experiment", log, "--schedule", plan_file, "--planned", 120, "--to", page)
    assert "spans of time" in json.loads(page.read_bytes())["report"]["tried"]


@pytest.mark.parametrize(
    ("change", "field", "line"),
    [
        ({"place": "es"}, "at", 4),
        ({"at": "2027-01-01T00:00:00+00:00"}, "at", 4),
        ({"at": "noon"}, "at", 4),
        ({"at": "2026-12-01T00:00:00"}, "at", 4),
    ],
)
def test_what_the_schedule_does_not_cover_is_named(tmp_path, change, field, line):
    schedule = schedule_of(["de", "fr"], 20, 12, "2026-12-01T00:00:00Z", "x")
    plan_file, log = tmp_path / "plan.csv", tmp_path / "log.csv"
    plan_file.write_text(schedule.csv())
    table = observations(schedule, 0.0)
    for column, value in change.items():
        table.loc[2, column] = value
    table.to_csv(log, index=False)
    with pytest.raises(InvalidInput) as error:
        analyse_file(log, schedule=plan_file)
    assert (error.value.field, error.value.line) == (field, line)


def test_a_schedule_with_a_gap_is_refused(tmp_path):
    schedule = schedule_of(["de"], 20, 12, "2026-12-01T00:00:00Z", "x")
    plan_file, log = tmp_path / "plan.csv", tmp_path / "log.csv"
    lines = schedule.csv().splitlines()
    plan_file.write_text("\n".join([*lines[:5], *lines[6:]]))
    observations(schedule, 0.0).to_csv(log, index=False)
    with pytest.raises(InvalidInput, match="follow each other"):
        analyse_file(log, schedule=plan_file)


def test_clusters_from_plan_to_decision(tmp_path):
    rng = np.random.default_rng(3)
    merchant = np.repeat(np.arange(80), rng.integers(5, 60, 80))
    own = rng.normal(0, 0.5, 80)[merchant]
    table = pd.DataFrame(
        {"merchant": [f"m{i:02d}" for i in merchant], "orders": 2 + own + rng.normal(size=own.size)}
    )
    file, arms = tmp_path / "past.csv", tmp_path / "arms.csv"
    table.to_csv(file, index=False)
    planned = run(
        *("experiment", "plan", "--file", file, "--metric", "orders", "--cluster", "merchant"),
        *("--lift", 0.2),
    )
    assert planned["past"]["correlation"] == pytest.approx(0.2, abs=0.08)
    assert planned["design_effect"] > 4
    assert planned["clusters"] == pytest.approx(planned["units"] / (len(table) / 80), abs=1)

    made = run("experiment", "clusters", file, "--column", "merchant", "--salt", "s", "--to", arms)
    assert made["arms"]["control"]["clusters"] == made["arms"]["treatment"]["clusters"] == 40
    assigned = pd.read_csv(arms).set_index("merchant")["variant"]
    variant = table["merchant"].map(assigned)
    table.assign(variant=variant, orders=table["orders"] + (variant == "treatment")).to_csv(
        file, index=False
    )
    found = run("experiment", "analyse", file, "--cluster", "merchant", "--planned", 80)
    assert found["design"] == {"kind": "clusters", "clusters_of": "merchant", "dropped": 0}
    assert found["units"] == 80
    assert found["decision"]["verdict"] == "ship"
    assert clusters_of(file, "merchant", "s").csv() == arms.read_text()
    with pytest.raises(InvalidInput, match="missing"):
        clusters_of(file, "seller", "s")


def test_the_clusters_of_a_plan_find_the_effect_with_its_power():
    """Simulated: as many clusters as planned find the planned effect in about 80% of the tests."""
    rng = np.random.default_rng(4)
    size, correlation, effect = 20, 0.1, 0.3
    wanted = plan(deviation=1.0, effect=effect, cluster_size=size, correlation=correlation)
    assert wanted.clusters is not None
    half = wanted.clusters // 2
    found = 0
    for _ in range(400):
        treated = np.arange(2 * half) < half
        cluster = np.repeat(np.arange(2 * half), size)
        shared = rng.normal(0, np.sqrt(correlation), 2 * half)[cluster]
        outcome = shared + rng.normal(0, np.sqrt(1 - correlation), cluster.size)
        outcome += effect * treated[cluster]
        found += cluster_effect(outcome, cluster, treated).p < 0.05
    # Half a cluster was cut off, and Welch's test is exact where the plan is normal.
    assert abs(found / 400 - 0.8) < 4 * np.sqrt(0.16 / 400) + 0.02


def test_clusters_of_different_sizes_are_planned_with_their_power():
    """Simulated: most clusters are small, most units in large ones."""
    rng = np.random.default_rng(6)
    correlation, effect = 0.1, 0.5

    def drawn(clusters):
        sizes = rng.choice([4, 84], clusters, p=[0.8, 0.2])
        cluster = np.repeat(np.arange(clusters), sizes)
        shared = rng.normal(0, np.sqrt(correlation), clusters)[cluster]
        return cluster, shared + rng.normal(0, np.sqrt(1 - correlation), cluster.size)

    cluster, values = drawn(4_000)
    seen = past(values, cluster=cluster)
    wanted = plan(
        deviation=seen.deviation,
        effect=effect,
        cluster_size=seen.cluster_size,
        mean_cluster_size=seen.mean_cluster_size,
        correlation=seen.correlation,
    )
    found = 0
    for _ in range(300):
        cluster, outcome = drawn(wanted.clusters)
        treated = rng.permutation(wanted.clusters) < wanted.clusters // 2
        found += cluster_effect(outcome + effect * treated[cluster], cluster, treated).p < 0.05
    assert abs(found / 300 - 0.8) < 0.1


def test_simulated_history_is_called_simulated(tmp_path):
    file = tmp_path / "past.csv"
    pd.DataFrame({"orders": [0, 1, 2, 1], "simulated": True}).to_csv(file, index=False)
    assert past_of_file(file, "orders")[1]
    asked = ("experiment", "plan", "--file", file, "--metric", "orders", "--lift", 0.2)
    assert run(*asked)["simulated"] is True


def test_what_a_covariate_leaves_is_planned_with(tmp_path):
    rng = np.random.default_rng(5)
    before = rng.normal(10, 2, 3_000)
    table = pd.DataFrame({"revenue": before + rng.normal(0, 1, 3_000), "pre_revenue": before})
    file = tmp_path / "past.parquet"
    table.to_parquet(file)
    assert past_of_file(file, "revenue")[0].deviation == pytest.approx(1, abs=0.06)
    assert past(table["revenue"].to_numpy()).deviation == pytest.approx(5**0.5, abs=0.1)


def test_an_effect_that_fades_is_seen_in_a_file_and_in_the_report(tmp_path):
    rng = np.random.default_rng(6)
    unit, day = np.repeat(np.arange(1_200), 10), np.tile(np.arange(10), 1_200)
    treated = unit % 2 == 1
    orders = rng.normal(1 + treated * np.exp(-day / 2), 1)
    table = pd.DataFrame(
        {"unit": unit, "day": day, "variant": np.where(treated, "new", "control"), "orders": orders}
    )
    daily, ab = tmp_path / "daily.csv", tmp_path / "ab.csv"
    table.to_csv(daily, index=False)
    found = run("experiment", "novelty", daily, "--metric", "orders")
    assert found["fades"]
    assert found["days"] == list(range(10))
    table.groupby(["unit", "variant"], as_index=False)["orders"].sum().to_csv(ab, index=False)
    made = run("report", "experiment", ab, "--days", daily, "--planned", 1_200)
    assert made["novelty"]["fades"]
    assert "fades" in " ".join(made["report"]["happened"])
    assert any("fades" in d for d in made["report"]["doubts"])
    table = table.astype({"day": float})
    table.loc[7, "day"] = 1.5
    table.to_csv(daily, index=False)
    with pytest.raises(InvalidInput) as error:
        novelty_of_file(daily, "orders")
    assert (error.value.field, error.value.line) == ("day", 9)


def test_parts_of_the_people_are_told_with_restraint(tmp_path):
    rng = np.random.default_rng(7)
    treated = rng.random(6_000) < 0.5
    country = rng.choice(["DE", "FR", "IT"], 6_000)
    clicks = rng.normal(1 + 0.5 * (treated & (country == "DE")), 1)
    file = tmp_path / "ab.csv"
    pd.DataFrame(
        {"variant": np.where(treated, "new", "control"), "clicks": clicks, "country": country}
    ).to_csv(file, index=False)
    done = CliRunner().invoke(app, ["experiment", "analyse", str(file)], catch_exceptions=False)
    assert "By country: parts differ" in done.output
    made = run("report", "experiment", file)
    assert any("not the same for each “country”" in said for said in made["report"]["happened"])
    assert made["heterogeneity"]["country"]["q_p"] < 0.001


def test_novelty_and_plans_from_stored_events(tmp_path, monkeypatch):
    """People exposed on one day, who click more at first: whole days only, bots and who saw two
    variants left out."""
    from tandem.contracts.experiment import OnlineExperiment, SearchConfiguration, Variant
    from tandem.flows.exposed_days import exposed_days, novelty_of_experiment, past_of_people
    from tandem.flows.import_ import create_workspace
    from tandem.storage.events import EventStore

    layout = create_workspace(tmp_path / "shop", encoder=None, simulated=True)
    experiment = OnlineExperiment(
        name="words",
        variants=(
            Variant(name="control", weight=1),
            Variant(name="new", weight=1, configuration=SearchConfiguration(ranker="bm25")),
        ),
        started=START,
        ended=START + timedelta(days=5, hours=12),
        state="stopped",
    )
    rng = np.random.default_rng(8)
    rows = []
    for i in range(240):
        variant, client = ("control", "new")[i % 2], f"{i:03d}"
        rows.append(_row(len(rows), "exposure", client, START, f"words:{variant}"))
        for day in range(6):
            mean = 1.0 + 2.0 * (variant == "new") * np.exp(-day)
            for _ in range(rng.poisson(mean)):
                at = START + timedelta(days=day, hours=1 + 10 * rng.random())
                rows.append(_row(len(rows), "click", client, at, "P1"))
    rows.append(_row(len(rows), "exposure", "both", START, "words:new"))
    rows.append(_row(len(rows), "exposure", "both", START, "words:control"))
    store = EventStore(layout)
    store.append(rows)
    store.close()
    table = exposed_days(layout, experiment, "clicks", actor="tester")
    assert sorted(table["day"].unique()) == [0, 1, 2, 3, 4], "the sixth day is half over"
    assert len(table) == 240 * 5
    total = sum(r["action_name"] == "click" and r["timestamp"] < _at(5) for r in rows)
    assert table["clicks"].sum() == total
    found, simulated = novelty_of_experiment(layout, experiment, "clicks", None, actor="tester")
    assert found.fades
    assert simulated
    seen, daily, _ = past_of_people(layout, "clicks", actor="tester")
    assert seen.units == 241
    assert daily == 241 // 6, "there are six days of events, not four weeks"


def _row(number: int, action: str, client: str, at: datetime, object_id: str):
    moment = int(at.timestamp() * 1_000_000)
    return event(number, moment, action_name=action, client=client, object_id=object_id)


def _at(day: int) -> int:
    return int((START + timedelta(days=day)).timestamp() * 1_000_000)
