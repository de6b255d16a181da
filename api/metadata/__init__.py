"""Metadata of servers and images: one implementation for both (R173-R182)."""
