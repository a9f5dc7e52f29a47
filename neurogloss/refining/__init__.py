"""Choosing among candidate explanations, revising them in rounds, and searching for directions that can be explained."""
