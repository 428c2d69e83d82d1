"""A run on disk: its folder, its checkpoints, its receipt.

Kept here: what is written of a training, and how it is read again.  It may know engines (whose
state a checkpoint keeps), networks, recipes and data (where a run's data came from); it neither
trains nor predicts.
"""
