"""neurogloss: explain the neurons of a language model, and say how far each explanation can be trusted."""

import os

# torch's OpenMP reads this once, when it is loaded, so it is set before anything else. By default a thread that waits for another spins
# for milliseconds: on two cores with other work a forward pass took 12 s instead of 6 (and 0.6 s on an idle machine, either way).
os.environ.setdefault("GOMP_SPINCOUNT", "30000")
