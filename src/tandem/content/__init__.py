"""Help for creators: briefs, captions and checks, from what a product says of itself."""
