"""Recommenders behind one interface: learn from sessions, recommend what comes next."""
