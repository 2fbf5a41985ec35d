"""Programs that put clusters under faults and check what they promise; by hand and, briefly, in the test suite."""
