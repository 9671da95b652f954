"""How a process begins and ends: exits, signals, forks, event loops."""
