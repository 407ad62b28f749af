"""How much a slide may ask for: sizes are compared with these limits before memory is taken."""

MAX_SIDE = 2**31 - 1
"""Pixels along one side of a level."""
MAX_CHUNK_BYTES = 256 * 2**20
"""Decoded bytes of one tile or strip; a file whose strips are larger has to be converted into tiles first."""
MAX_CHUNKS = 2**26
"""Tiles of one level (a slide of 2 000 000 x 2 000 000 pixels in tiles of 256)."""
MAX_READ_BYTES = 2 * 2**30
"""Bytes of one ``read``; larger regions are read in parts."""
MAX_WHOLE_PIXELS = 100_000_000
"""Pixels of an image that can only be decoded as a whole (PNG, JPEG): about 0.7 GB while decoding."""
MAX_CHANNELS = 256
"""Samples per pixel."""
MAX_ASSOCIATED_BYTES = 256 * 2**20
"""Bytes of a label, macro or thumbnail."""
CHUNK_CACHE_BYTES = 64 * 2**20
"""Decoded tiles kept per slide, so that neighbouring reads do not decode the tiles of their shared border again."""
