"""What a person presses and reads. Widgets build controls and emit wishes; the controllers decide."""
