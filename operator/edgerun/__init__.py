"""Edgerun: an edge of real Envoys and private origins, from two custom resources."""

import os

__version__ = "0.1.0"

# gRPC reads it when it is imported. By default it writes a line of its own for every handshake that fails: strangers
# could fill the log, and past any format.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
