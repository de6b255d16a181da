"""Images that are built from Debian packages."""
