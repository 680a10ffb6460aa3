"""Brands and creators find each other: which creators suit a brand that nobody has seen before."""
