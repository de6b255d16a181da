"""Version documents (R5, R6, D21, D75, D76)."""
