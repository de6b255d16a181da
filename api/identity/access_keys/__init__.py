"""Access keys of users (wire-notes 4.2)."""
