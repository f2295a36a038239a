"""What a control plane and its nodes do by themselves, simulated on one thread."""
