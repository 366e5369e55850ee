"""The custom resources: their shapes, what is wrong with one, and the conditions that say how it fares.

Nothing here has effects. Everything else may import it; it imports nothing of ours.
"""

GROUP = "edgerun.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
