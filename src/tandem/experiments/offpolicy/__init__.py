"""Off-policy evaluation: what would another policy have earned, from the logs of this one?"""
