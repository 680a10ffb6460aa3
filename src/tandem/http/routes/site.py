"""The pages: static files, and markup with the shop's facts filled in."""

from __future__ import annotations

import hashlib
import html
import mimetypes
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import orjson
from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from tandem.http.serving import of

router = APIRouter(include_in_schema=False)
# Pages for the people who run the shop, in the order of the menu: address, file, title.
OFFICE = (
    ("/workbench", "workbench.html", "Relevance workbench"),
    ("/lab", "lab.html", "Lab"),
    ("/insight", "insight.html", "Insight"),
    ("/privacy", "privacy.html", "Privacy office"),
    ("/seller", "seller.html", "Seller center"),
    ("/studio", "studio.html", "Creator studio"),
)
# Ask every time, transfer only what changed: a new version is seen at once without a build step.
_REVALIDATE = "no-cache"


@dataclass(frozen=True)
class Asset:
    content: bytes
    media_type: str

    @property
    def etag(self) -> str:
        return f'"{hashlib.sha256(self.content).hexdigest()[:20]}"'


@cache
def _assets() -> Mapping[str, Asset]:
    """Every file of `pages/` by name: a closed list, so no address can reach another file."""
    folder = resources.files("tandem.http") / "pages"
    found = {}
    for entry in folder.iterdir():
        if entry.is_file():
            kind = mimetypes.guess_type(entry.name)[0] or "application/octet-stream"
            if kind in ("text/javascript", "application/javascript"):
                kind = "text/javascript"
            found[entry.name] = Asset(entry.read_bytes(), kind)
    return found


@router.get("/")
async def storefront(request: Request) -> Response:
    return _page(request, "store.html")


@router.get("/p/{product_id:path}")
async def product_page(request: Request, product_id: str) -> Response:
    return _page(request, "product.html")


@router.get("/you")
async def own_data(request: Request) -> Response:
    return _page(request, "you.html")


def _office(file: str) -> Callable[[Request], Awaitable[Response]]:
    async def page(request: Request) -> Response:
        return _page(request, file)

    return page


for _address, _file, _title in OFFICE:
    router.add_api_route(_address, _office(_file), methods=["GET"])


@router.get("/favicon.ico")
async def favicon(request: Request) -> Response:
    return await static(request, "icon.svg")


@router.get("/static/{name}")
async def static(request: Request, name: str) -> Response:
    asset = _assets().get(name)
    if asset is None or name.endswith(".html"):
        raise HTTPException(404, f"no file '{name}'")
    headers = {"Cache-Control": _REVALIDATE, "ETag": asset.etag}
    if request.headers.get("if-none-match") == asset.etag:
        return Response(status_code=304, headers=headers)
    return Response(asset.content, media_type=asset.media_type, headers=headers)


def _page(request: Request, name: str) -> Response:
    """A page with the shop's facts filled in, so that nothing jumps when the script starts."""
    serving = of(request)
    status = {**serving.shop.status(), "events": serving.settings.collect_events}
    text = _filled(_markup(name), _facts(status))
    return Response(text, media_type="text/html", headers={"Cache-Control": "no-store"})


@cache
def _markup(name: str) -> str:
    """A page with what it shares with the others in place: `head.html`, and `top.html` with the
    search box of the shop or the title of a page for the team."""
    title = next((title for _, file, title in OFFICE if file == name), None)
    heading = f'<h1 class="page-title">{title}</h1>'
    top = {"middle": _part("search.html") if title is None else heading, "tools": _tools(title)}
    shared = {"head": _part("head.html"), "top": _filled(_part("top.html"), top)}
    return _filled(_assets()[name].content.decode(), {**shared, "title": title or ""})


def _part(name: str) -> str:
    return _assets()[name].content.decode().rstrip("\n")


def _filled(text: str, values: Mapping[str, str]) -> str:
    for key, value in values.items():
        text = text.replace("{{" + key + "}}", value)
    return text


def _tools(current: str | None) -> str:
    """Links to the other pages: a menu, so that a shopper's page (None) stays a shop."""
    shop = "" if current is None else '<li><a href="/">Storefront</a></li>'
    links = "".join(
        f'<li><a href="{address}">{title}</a></li>'
        for address, _, title in OFFICE
        if title != current
    )
    return (
        '<details class="menu"><summary class="tool">For the team</summary>'
        f"<ul>{shop}{links}</ul></details>"
    )


def _facts(status: Mapping[str, Any]) -> dict[str, str]:
    """Values of the placeholders, safe to put into markup."""
    facts = {
        "name": status["name"],
        "currency": status["currency"],
        "products": status["products"],
        "rankers": list(status["rankers"]),
        "default_ranker": status.get("default_ranker"),
        "facets": list(status.get("facets", ())),
        "ltr_learned_from": status.get("ltr_learned_from", 0),
        "ltr_cross_validated": status.get("ltr_cross_validated", {}),
        "events": status["events"],
    }
    # A data block: the browser runs nothing in it, and `<` cannot close it.
    data = orjson.dumps(facts).decode().replace("<", "\\u003c")
    banner = (
        '<p class="banner" role="note"><strong>Simulated catalogue.</strong> '
        "These products, prices and ratings are made up.</p>"
        if status["simulated"]
        else ""
    )
    return {
        "name": html.escape(str(status["name"])),
        "products": f"{status['products']:,}",
        "banner": banner,
        "facts": data,
    }
