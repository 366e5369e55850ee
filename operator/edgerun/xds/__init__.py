"""The control plane's side of Envoy's xDS protocol: delta ADS, make before break.

server  who is connected, serials          authentication  who may call
session order between types                stream    one gRPC stream: bytes in, bytes out
watch   one type of one stream             snapshot  resources as the bytes that go out
refusals, nacks  what a client refused
demand  what proxies hold requests for     load_reports, loads  how busy they say origins are

Names of this package never reach Python's path: a module `xds` or `envoy` there would shadow the generated protobufs.
"""
