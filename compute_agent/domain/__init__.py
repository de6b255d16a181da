"""Guests as libvirt domains: generated, started, watched and removed."""
