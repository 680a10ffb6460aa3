"""Collaborations of merchants and creators: life cycle, commissions, settlement."""
