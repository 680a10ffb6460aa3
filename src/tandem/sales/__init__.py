"""A merchant's sales: what moved them, and what is to come."""
