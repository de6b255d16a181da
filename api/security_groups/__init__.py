"""Security groups and their rules (R237-R254)."""
