"""Reading a network's code once, into a graph of operations, or refusing it by name."""
