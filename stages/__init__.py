"""neurogloss: explain the neurons of a language model, and say how far each explanation can be trusted."""
