"""What a map holds for a reader: hotspots, foci and lesions, and what a person says of them. Needs no torch."""
