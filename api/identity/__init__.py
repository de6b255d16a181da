"""Identity: tokens, service catalog, tenants (R8-R19, wire-notes 4)."""
