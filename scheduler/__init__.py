"""Where a server goes, the sweeper, and the messages that say *look now*."""
