"""Keypairs (R230-R236)."""
