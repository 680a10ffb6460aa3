"""Query understanding: from what a shopper typed to what will be searched."""
