"""The viewer: pages on which a person sees where an explanation holds and where it fails."""
