"""Tandem over HTTP: the API, the storefront and the relevance workbench.

`create_app(shop, settings)` gives an ASGI application, `serve(shop)` runs it. Everything here
parses a request, calls the shop and renders its answer; it knows of a shop only what `Shop` says.
"""
