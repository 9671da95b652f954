"""How much the lane holds, of what may wait in memory, and in a spool."""

LANE_PART = 4  # one of so many events, and of their bytes
