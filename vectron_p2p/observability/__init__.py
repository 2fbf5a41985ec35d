"""What a node lets others see of itself; so far its logs. Pure cores never log: they return events."""
