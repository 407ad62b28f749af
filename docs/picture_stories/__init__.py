"""What is done in the window before each picture of the documentation is taken; one file per subject."""
