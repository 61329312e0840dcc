"""
The protocol layer alone: both sides in one process, without a socket, and only
the tested side's time is counted.
"""
