"""Each service's containers: what must happen to them, their start, their health."""
