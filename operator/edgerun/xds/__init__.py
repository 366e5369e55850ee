"""The control plane's side of Envoy's xDS protocol: delta ADS, make before break.

server  who is connected, serials          stream    one gRPC stream: bytes in, bytes out
session order between types                watch     one type of one stream
refusals, nacks  what a client refused     snapshot  resources as the bytes that go out

Names of this package never reach Python's path: a module `xds` or `envoy` there would shadow the generated protobufs.
"""
