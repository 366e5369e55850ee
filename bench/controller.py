"""`edgerun controller` as it is, but for edge pods that share the ports of this machine.

python controller.py EDGE_PORT PROBES_PORT controller ... is the command.
"""

import sys

from edgerun.cli import main
from edgerun.translate import edges

if __name__ == "__main__":
    edges.POD_PORT, edges.PROBES_PORT = int(sys.argv[1]), int(sys.argv[2])
    sys.exit(main(sys.argv[3:]))
