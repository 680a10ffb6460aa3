"""Controlled experiments: assignment, health, effects, monitoring under peeking, decisions."""
