"""Ranking features: declared once, computed by the same code in training and serving."""
