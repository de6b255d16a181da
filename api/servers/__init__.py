"""Servers (R91-R146)."""
