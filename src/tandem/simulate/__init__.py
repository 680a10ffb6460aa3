"""A synthetic shop with known truth. Everything made here says that it is simulated."""
