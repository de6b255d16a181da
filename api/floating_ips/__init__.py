"""Floating addresses and their pools (R223-R229, D80)."""
