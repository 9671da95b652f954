"""What carries events: from the buffer to the outcome."""
