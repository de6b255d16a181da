"""Limits of a tenant (R57-R74): what it may have, and how often it may ask."""
