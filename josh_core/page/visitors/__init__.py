"""Who calls, with which clip and settings, and which runs are theirs."""
