"""The image service of the catalog: one look-up that the nova command needs (decisions/005)."""
