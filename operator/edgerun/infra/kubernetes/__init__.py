"""A Kubernetes cluster as the infrastructure."""
