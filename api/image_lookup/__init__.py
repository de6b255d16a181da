"""The image service of the catalog: one look-up, which the nova command needs since 5.1 (D92)."""
