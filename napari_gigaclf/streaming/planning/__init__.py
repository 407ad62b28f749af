"""Deciding before a run: tile, borders to carry, who computes what when, and what it costs."""
