"""`edgerun controller` in a hurry: with a lease of 12 s and a sweep every 5 s, instead of 15 s and a minute.

python -P hurried.py EDGE_PORT PROBES_PORT controller ... is the command. Pods have the ports of the edge to themselves,
here they share those of a machine. Trap: without -P this folder hides packages that the command needs.
"""

import functools
import sys

from edgerun.cli import main
from edgerun.infra.kubernetes.leader import Timing
from edgerun.runtime import cluster
from edgerun.sources.cluster import Pace
from edgerun.translate import edges

# No call may outlive the lease under which it was begun: they take up to 10 s.
TIMING = Timing(lease_s=12, renew_s=7, retry_s=0.5, call_s=2)
PACE = Pace(sweep_s=5, soon_s=1, settle_s=0.3)

if __name__ == "__main__":
    edges.POD_PORT, edges.PROBES_PORT = int(sys.argv[1]), int(sys.argv[2])
    cluster.running = functools.partial(cluster.running, timing=TIMING, pace=PACE)
    sys.exit(main(sys.argv[3:]))
