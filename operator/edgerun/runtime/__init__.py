"""Wires the parts: what a source feeds becomes what proxies serve, and what they say becomes status."""
