"""What runs a plan: Envoy's bootstrap and binary, and the places where origins live."""
