"""The schema's history, as package data, run by ``undercast db``."""
