"""What runs as a process of its own, beside the bridge or in its place."""
