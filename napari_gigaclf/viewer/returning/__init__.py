"""What a slide looked like when it was left, kept in a small file of the user's own, and shown when it comes again."""
