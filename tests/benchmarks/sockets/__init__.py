"""
Whole programs over TCP on the loopback interface: the tested side alone in its
process, the same peer in C on the other side.
"""
