"""Ablation of a recipe: the trainings, their record and its plots."""
