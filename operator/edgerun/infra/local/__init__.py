"""The standalone mode's infrastructure: origins and the edge as processes of this machine."""
