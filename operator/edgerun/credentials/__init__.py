"""The control plane's own credentials: by what edge pods know that it is the control plane which they talk to.

certificates  X.509 as RFC 5280 wants it      rotation  keeps the authorities in a Secret, all the time
authority     which authority signs, and when serving   the server's certificate for gRPC
"""
