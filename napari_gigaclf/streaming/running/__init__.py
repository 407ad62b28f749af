"""Running a plan: tiles forward and back, sources and sinks, as one step of autograd."""
