"""Metadata service of a host: what guests read at 169.254.169.254, from the host's own files."""
