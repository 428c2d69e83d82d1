"""A network at work: scores, answers, explanations, and pictures in bulk.

Kept here: what a trained network makes of images and of pictures.  It may know runs, engines,
networks and data; it draws nothing and trains nothing.
"""
