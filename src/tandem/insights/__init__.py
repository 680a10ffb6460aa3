"""Where search fails, why, and what it costs: batch jobs over the stored events, in DuckDB."""
