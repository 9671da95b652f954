"""How a process begins and ends, and what it may: exits, signals, forks, event loops, limits."""
