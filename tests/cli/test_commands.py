"""The command line as its users meet it: exit codes, JSON shapes, plain words."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import tandem
from tandem.cli import main as entry


@pytest.fixture
def run(monkeypatch, capsys):
    """Run `tandem ARGS`; returns (exit code, standard output, standard error)."""

    def call(*args: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["tandem", *map(str, args)])
        try:
            entry.main()
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    # Consoles are made at import and would hold the test runner's streams.
    from rich.console import Console

    for module in list(sys.modules.values()):
        if getattr(module, "__name__", "").startswith("tandem.cli"):
            for name, stderr in (("out", False), ("err", True)):
                if isinstance(getattr(module, name, None), Console):
                    monkeypatch.setattr(module, name, Console(stderr=stderr, width=200))
    return call


ROWS = [
    {"id": "a", "title": "Red bluetooth speaker", "price": "19.90", "currency": "EUR"},
    {"id": "b", "title": "Blue [USB-C] cable [/] 2 m", "price": "4.50", "currency": "EUR"},
    {"id": "c", "title": "Green tea", "price": "NaN", "currency": "EUR"},
]


@pytest.fixture
def catalogue(tmp_path) -> Path:
    path = tmp_path / "products.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


def test_from_nothing_to_a_search(run, catalogue, tmp_path):
    shop = tmp_path / "shop"
    code, out, _ = run("init", shop, "--encoder", "none", "--json")
    assert (code, json.loads(out)) == (0, {"workspace": str(shop)})
    code, out, _ = run("import", "catalog", catalogue, "-w", shop, "--mapping", "tandem", "--json")
    report = json.loads(out)
    assert code == 0
    assert report["products"] == 2
    assert report["quarantined"] == 1
    code, out, _ = run("index", "-w", shop, "--json")
    assert (code, json.loads(out)["products"]) == (0, 2)
    code, out, _ = run("search", "usb cable", "-w", shop, "--json")
    found = json.loads(out)
    assert [h["product"]["id"] for h in found["hits"]] == ["b"]
    assert found["timings_ms"]["total"] > 0
    code, out, _ = run("search", "usb cable", "-w", shop, "--explain")
    assert code == 0
    assert "Blue [USB-C] cable [/] 2 m" in out


def test_a_strict_import_fails_and_changes_nothing(run, catalogue, tmp_path):
    shop = tmp_path / "shop"
    run("init", shop, "--encoder", "none")
    code, _, err = run("import", "catalog", catalogue, "-w", shop, "--strict")
    assert code == 2
    assert "products.jsonl:3" in err
    assert "Remedy" in err
    assert not list((shop / "catalog").glob("g*"))


def test_evaluate_prints_the_agreed_shape(run, shop_copy, tmp_path):
    with tandem.open(shop_copy) as shop:
        queries = shop.judgment_queries()[:6]
        judged = shop.judgment_list()
    file = tmp_path / "judgments.csv"
    lines = ["query,product_id,label"]
    for query in queries:
        lines += [f'"{query}",{p},{"ICSE"[r]}' for p, r in judged.by_query[query].items()]
    lines.append('"never seen before",no-such-product,E')
    file.write_text("\n".join(lines) + "\n")
    code, out, _ = run(
        "evaluate",
        *("-w", shop_copy, "--judgments", file, "--systems", "bm25,dense,hybrid,ltr"),
        *("--measures", "nDCG@10,R@100", "--json"),
    )
    result = json.loads(out)
    assert code == 0
    assert set(result["systems"]) == {"bm25", "dense", "hybrid", "ltr"}
    for estimates in result["systems"].values():
        assert set(estimates) == {"nDCG@10", "R@100"}
        for e in estimates.values():
            assert e["low"] <= e["mean"] <= e["high"]
    assert result["queries"] == 7
    assert 0 <= result["coverage"] <= 1


def test_training_reports_out_of_fold_figures(run, shop_copy):
    code, out, _ = run("train", "ranker", "-w", shop_copy, "--folds", 2, "--json")
    report = json.loads(out)
    assert code == 0
    assert report["model"] == "gain-regression"
    assert report["cross_validated"]["systems"]["ltr"]["nDCG@10"]["mean"] > 0
    code, out, _ = run("rollback", "models", "-w", shop_copy)
    assert code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("search", "x", "-w", "{tmp}/none"), 3, "tandem init"),
        (("search",), 2, "tandem search --help"),
        (("import", "catalog", "{tmp}/none.jsonl", "-w", "{shop}"), 2, "none.jsonl"),
        (("evaluate", "-w", "{shop}", "--systems", "oracle"), 2, "oracle"),
        (("evaluate", "-w", "{shop}", "--measures", "nice@10"), 2, "nice@10"),
        (("train", "ranker", "-w", "{shop}", "--model", "oracle"), 2, "gain-regression"),
        (("search", "x", "-w", "{shop}", "--ranker", "oracle"), 2, "bm25"),
        (("rollback", "index", "-w", "{shop}"), 3, ""),
    ],
)
def test_what_goes_wrong_is_said_with_a_remedy(
    run, simulated_shop, tmp_path, arguments, code, says
):
    filled = [a.format(tmp=tmp_path, shop=simulated_shop) for a in arguments]
    found, _, err = run(*filled)
    assert found == code, err
    assert says in err
    assert "Traceback" not in err


def test_simulated_results_say_so(run, simulated_shop):
    _, out, _ = run("search", "", "-w", simulated_shop)
    assert "SIMULATED" in out


def test_doctor_shows_remedies_literally(run, simulated_shop):
    code, out, _ = run("doctor", "-w", simulated_shop)
    assert code == 0
    checks = json.loads(run("doctor", "-w", simulated_shop, "--json")[1])["checks"]
    assert {"workspace", "search"} <= {c["name"] for c in checks}
    for check in checks:
        if check["remedy"]:
            assert check["remedy"].split("[")[0].strip() in out
            assert ("[" in check["remedy"]) <= ("[" in out)


def test_every_command_has_an_example(run):
    def walk(command, path):
        children = getattr(command, "commands", {})
        for name, child in children.items():
            yield from walk(child, (*path, name))
        if not children:
            yield path, command

    import typer

    for path, command in walk(typer.main.get_command(entry.app), ()):
        assert "Example" in (command.help or ""), path


def test_no_arguments_show_the_help(run):
    code, out, err = run()
    assert code in (0, 2)
    assert "evaluate" in out + err


def test_the_module_runs_as_a_program():
    done = subprocess.run(
        [sys.executable, "-m", "tandem.cli.main", "--help"], capture_output=True, text=True
    )
    assert done.returncode == 0
    assert "Commands" in done.stdout


def test_keys_are_rotated_and_retired(run, catalogue, tmp_path, monkeypatch):
    monkeypatch.setenv("TANDEM_PSEUDONYM_KEYS", str(tmp_path / "keys"))
    shop = tmp_path / "shop"
    run("init", shop, "--encoder", "none")
    code, printed, _ = run("events", "rotate-key", "-w", shop, "--json")
    assert code == 0
    assert json.loads(printed) == {"current": "k2", "keys": ["k1", "k2"]}
    code, _, error = run("events", "retire-key", "k2", "-w", shop, "--yes")
    assert code == 4
    assert "Remedy" in error
    code, printed, _ = run("events", "retire-key", "k1", "-w", shop, "--yes", "--json")
    assert code == 0
    assert json.loads(printed)["keys"] == ["k2"]


def test_the_audit_log_is_verified_and_shown(run, tmp_path):
    shop = tmp_path / "shop"
    run("init", shop, "--encoder", "none")
    run("events", "rotate-key", "-w", shop)
    code, printed, _ = run("audit", "verify", "-w", shop, "--json")
    found = json.loads(printed)
    assert (code, found["ok"], found["entries"], found["problems"]) == (0, True, 2, [])
    code, printed, _ = run("audit", "show", "-w", shop, "--json")
    assert [e["action"] for e in json.loads(printed)] == [
        "workspace.create",
        "pseudonym_key.rotate",
    ]
    log = shop / "audit" / "log.jsonl"
    log.write_bytes(log.read_bytes().replace(b"rotate", b"retire"))
    code, printed, _ = run("audit", "verify", "-w", shop, "--json")
    (problem,) = json.loads(printed)["problems"]
    assert (code, problem["kind"], problem["line"]) == (1, "edited", 2)
    code, printed, _ = run("audit", "verify", "-w", shop)
    assert code == 1
    assert f"{log}:2" in printed


def test_consent_is_granted_withdrawn_and_shown(run, tmp_path):
    shop = tmp_path / "shop"
    run("init", shop, "--encoder", "none")
    asked = ("-w", shop, "--json")
    code, printed, _ = run("consent", "grant", "anna", "-p", "personalisation", *asked)
    (record,) = json.loads(printed)
    assert (code, record["decision"], record["basis"]) == (0, "granted", "consent")
    run("consent", "withdraw", "anna", "-p", "analytics", *asked)
    code, printed, _ = run("consent", "show", "anna", *asked)
    found = json.loads(printed)
    assert found["allowed"] == {
        "search": True,
        "personalisation": True,
        "analytics": False,
        "model_training": False,
        "creator_marketing": False,
    }
    assert [r["decision"] for r in found["records"]] == ["granted", "withdrawn"]
    assert "withdrawn" in run("consent", "show", "anna", "-w", shop)[1]
    run("consent", "age", "anna", "--minor", *asked)
    code, _, error = run("consent", "grant", "anna", "-p", "analytics", *asked)
    assert (code, "minor" in error) == (2, True)
    code, printed, _ = run("consent", "basis", "analytics", "consent", "--reason", "vote", *asked)
    assert (code, json.loads(printed)["analytics"]) == (0, "consent")
    assert "anna" not in (shop / "audit" / "log.jsonl").read_text()
    assert b"anna" not in (shop / "consent" / "ledger.db").read_bytes()


def test_api_keys_are_made_listed_and_revoked(run, tmp_path):
    shop = tmp_path / "shop"
    run("init", shop, "--encoder", "none")
    asked = ("-w", shop, "--json")
    code, printed, _ = run("keys", "create", "--role", "merchant", "--tenant", "Acme", *asked)
    made = json.loads(printed)
    assert (code, made["role"], made["tenant"]) == (0, "merchant", "Acme")
    assert run("keys", "create", "--role", "merchant", *asked)[0] == 2
    code, printed, _ = run("keys", "list", *asked)
    assert [(k["id"], k["state"]) for k in json.loads(printed)] == [(made["id"], "valid")]
    assert made["key"] not in printed
    code, printed, _ = run("keys", "revoke", made["id"], *asked)
    assert json.loads(printed)["state"] == "revoked"
    assert "revoked" in run("keys", "list", "-w", shop)[1]
    secret = made["key"].split("_", 2)[2]
    assert not [p for p in shop.rglob("*") if p.is_file() and secret in p.read_text("latin-1")]


def test_the_data_map_is_printed_as_yaml_and_json(run, tmp_path):
    import yaml

    shop = tmp_path / "shop"
    run("init", shop, "--encoder", "none", "--name", "Lampe & Co")
    code, printed, _ = run("governance", "data-map", "-w", shop)
    found = yaml.safe_load(printed)
    assert (code, found["dataset"][0]["name"]) == (0, "Tandem workspace of Lampe & Co")
    assert json.loads(run("governance", "data-map", "-w", shop, "--json")[1]) == found
    assert yaml.safe_load(run("governance", "data-map")[1])["dataset"][0]["collections"]


def test_insights_are_ranked_tried_and_say_that_they_are_simulated(run, tmp_path):
    shop = tmp_path / "shop"
    made = json.loads(
        run("insights", "simulate", shop, "--sessions", "2500", "--broken", "language", "--json")[1]
    )
    assert [b["way"] for b in made["broken"]] == ["language"]
    found = json.loads(run("insights", "-w", shop, "--json")[1])
    (finding,) = found["findings"]
    assert (finding["cause"], finding["group"]) == ("language", {"language": "de"})
    shown = run("insights", "-w", shop)[1]
    assert "SIMULATED" in shown
    assert finding["id"] in shown.replace("\n", "")
    trial = json.loads(run("insights", "try", finding["id"], "-w", shop, "--json")[1])
    assert trial["verdict"] == "cannot be tried offline"


def test_events_are_imported_counted_and_compacted(run, tmp_path):
    shop = tmp_path / "shop"
    run("init", shop, "--encoder", "none")
    file = tmp_path / "clicks.ndjson"
    row = {"client_id": "c", "action_name": "click", "object_id": "a"}
    rows = [{**row, "event_id": n, "timestamp": f"2026-03-0{n}T12:00:00Z"} for n in (1, 2, 2)]
    file.write_text("".join(json.dumps(r) + "\n" for r in [*rows, {**row, "timestamp": "?"}]))
    code, out, _ = run("import", "events", file, "-w", shop, "--json")
    report = json.loads(out)
    assert code == 0
    assert (report["rows"], report["accepted"], report["duplicates"]) == (4, 2, 1)
    assert (report["refused"], report["by_reason"]) == (1, {"time": 1})
    assert {"late", "out_of_order", "clock_skewed", "bots", "internal"} <= set(report)
    code, out, _ = run("import", "events", file, "-w", shop, "--mapping", "ubi")
    assert code == 0
    assert "Imported 0 events" in out
    assert "3 duplicates" in out
    assert "1 × time" in out
    code, out, _ = run("events", "status", "-w", shop, "--json")
    status = json.loads(out)
    assert (status["events"], status["in_journal"], status["days"]) == (2, 0, 2)
    assert status["first"] == "2026-03-01T12:00:00+00:00"
    assert status["tally"]["duplicate"] == 4
    code, out, _ = run("events", "status", "-w", shop)
    assert "2 events on 2 days" in out
    code, out, _ = run("events", "compact", "-w", shop, "--json")
    assert json.loads(out) == {"events": 0, "days": 0, "files": 0}
    code, out, _ = run("events", "compact", "-w", shop)
    assert "0 events of 0 days" in out
    code, _, err = run("import", "events", file, "-w", shop, "--mapping", "nope")
    assert code == 2
    assert "retail" in err


def test_a_person_asks_for_a_copy_and_for_erasure(run, tmp_path):
    shop = tmp_path / "shop"
    run("init", shop, "--encoder", "none")
    asked = ("-w", shop, "--json")
    run("consent", "grant", "anna", "-p", "analytics", *asked)
    copy = tmp_path / "anna.json"
    assert run("rights", "export", "anna", "--out", copy, "-w", shop)[0] == 0
    assert json.loads(copy.read_text())["consent"][0]["decision"] == "granted"
    code, printed, _ = run("rights", "erase", "anna", "--yes", *asked)
    request = json.loads(printed)
    assert (code, request["state"]) == (0, "finished")
    assert json.loads(run("rights", "list", *asked)[1]) == [request]
    code, printed, _ = run("rights", "certificate", request["id"], *asked)
    assert (code, json.loads(printed)["request"]) == (0, request["id"])
    assert "was erased" in run("rights", "certificate", request["id"], "-w", shop)[1]
    assert json.loads(run("rights", "resume", request["id"], *asked)[1]) == request
    assert json.loads(run("rights", "replay", *asked)[1])[0]["state"] == "finished"
    assert run("rights", "certificate", "../x", *asked)[0] == 3
    assert request["id"] in run("rights", "list", "-w", shop)[1]


def test_old_events_are_removed_with_proof(run, tmp_path):
    shop = tmp_path / "shop"
    run("init", shop, "--encoder", "none")
    code, printed, _ = run("governance", "retain", "-w", shop, "--json")
    proof = json.loads(printed)
    assert (code, proof["kept_its_word"], proof["days"]["searches"]) == (0, True, 395)
    assert "removed" in run("governance", "retain", "-w", shop)[1]


def test_a_report_is_written_in_every_format_and_kept(run, tmp_path, shop_copy):
    rows = ["variant,revenue,simulated"]
    for i in range(400):
        arm = "treatment" if i % 2 else "control"
        rows.append(f"{arm},{10 + i % 7 + 2 * (i % 2)},true")
    file = tmp_path / "ab.csv"
    file.write_text("\n".join(rows))
    made = ["report", "experiment", file, "--success", "revenue", "--money", "revenue"]
    for ending in ("html", "md", "json", "eml", "pdf"):
        to = tmp_path / f"page.{ending}"
        assert run(*made, "--to", to)[0] == 0
        assert to.stat().st_size > 500
    code, out, _ = run(*made, "--for", "merchant", "--keep", "-w", shop_copy, "--json")
    assert code == 0
    assert json.loads(out)["report"]["for"] == "merchant"
    assert "metrics" not in json.loads(out)
    assert (shop_copy / "reports" / "experiment-ab-merchant.html").is_file()
    for wrong in (["--to", tmp_path / "page.docx"], ["--for", "aliens"]):
        code, _, err = run(*made, *wrong)
        assert code == 2
        assert "Remedy" in err
