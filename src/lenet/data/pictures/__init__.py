"""From a picture to the pixels that a network reads: decoding, ink, conventions.

Kept here: all that is done to one picture.  It may know the ground alone, and no data set.
"""
