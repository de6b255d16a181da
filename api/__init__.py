"""What clients see: identity, compute v1.1, faults. HTTP stays in this package."""
