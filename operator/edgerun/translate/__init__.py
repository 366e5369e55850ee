"""World in, Plan out: pure, without a clock. The same World gives the same Plan, byte for byte."""
