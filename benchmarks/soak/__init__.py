"""Long and interrupted trainings, and what they leave."""
