"""What runs a plan: Envoy's binary, and the places where origins live."""
