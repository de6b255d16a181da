"""What is true: tables, queries, operations, settings. Knows no other package."""
