"""Learning to rank from clicks without the bias of the places at which they were made."""
