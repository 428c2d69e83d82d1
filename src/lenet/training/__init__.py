"""One training, from its data to its folder.

Kept here: the session, the loop, the one pass over an epoch that all trainings share, what watches
a training, and the learning-rate range test.  It may know prediction (to score), runs, engines,
data, networks and recipes; it knows nothing of screens or figures.
"""
