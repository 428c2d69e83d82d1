"""From a picture to the pixels that a network reads: decoding, ink, conventions.

It knows the ground alone.
"""
