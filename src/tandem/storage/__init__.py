"""Durable storage: atomic files, the workspace's layout, generations, journal, catalogue tables."""
