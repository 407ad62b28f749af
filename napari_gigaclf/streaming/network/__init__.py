"""A network as the engine sees it: operations over maps, and how each uses space."""
