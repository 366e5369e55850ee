"""What edge, guards and control plane prove who they are by: certificates, and the edge's tokens.

certificates  X.509 as RFC 5280 wants it      keys      what signs tokens, as values
authority     which authority signs, and when keyring   which key signs, and when; who has to know it before
rotation      keeps authorities in a Secret,  keystore  keeps the keys in another one
              all the time                    tokens    the JWTs, and when each is replaced
serving       the xDS server's own, gRPC      issuer    what verifiers outside read about the keys
workloads     those of edges and guards       vaults    in place of a Secret where there is no cluster
"""
