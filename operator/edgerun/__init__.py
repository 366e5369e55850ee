"""Edgerun: an edge of real Envoys and private origins, from two custom resources."""

__version__ = "0.1.0"
