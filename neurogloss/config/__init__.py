"""params.yaml as types, its prompts, and the environment."""
