"""What runs of training have in common, whatever they learn from: recipes, folder, state, epochs, the best model."""
