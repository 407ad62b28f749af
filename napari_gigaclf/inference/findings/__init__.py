"""What a map holds for a reader: its hotspots, its foci and lesions, and what a person says of them. No torch in here."""
