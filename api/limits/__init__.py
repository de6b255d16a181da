"""Limits of a tenant (R57-R65)."""
