"""Images (R156-R172)."""
