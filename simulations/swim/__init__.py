"""Membership alone, with up to a thousand simulated members: how soon deaths are known, and what that costs."""
