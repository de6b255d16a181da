"""Flavors (R210-R214)."""
