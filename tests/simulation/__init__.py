"""The whole system on one thread and a virtual clock, driven by a seed."""
