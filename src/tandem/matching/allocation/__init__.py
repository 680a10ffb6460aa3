"""From scores to a plan: who works with whom, under budgets, slots, floors and exclusivity."""
