"""What edge and control plane prove who they are by: the control plane's own certificates, and the edge's tokens.

certificates  X.509 as RFC 5280 wants it      keys      what signs tokens, as values
authority     which authority signs, and when keyring   which key signs, and when; who has to know it before
rotation      keeps the authorities in a      keystore  keeps the keys in another one
              Secret, all the time            tokens    the JWTs, and when each is replaced
serving       the server's certificate, gRPC  issuer    what verifiers outside read about the keys
"""
