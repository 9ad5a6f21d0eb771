"""Ablation of a recipe: a training without each of its parts."""
