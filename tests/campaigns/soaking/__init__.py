"""
The parts of L{tests.campaigns.soak}: what is served, who asks for it, how a
process is measured, and what is flat.
"""
