"""Interleaving: one list from two rankers or more, and credit by what shoppers do with it."""
