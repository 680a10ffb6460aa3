"""Benchmarks: `python -m benchmarks.run`. Everything here runs on simulated products."""
