"""A merchant's listing: how good it is, and which honest changes of it are worth a try."""
