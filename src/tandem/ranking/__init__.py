"""Learning to rank: models behind one interface, training, business rules, explanation."""
