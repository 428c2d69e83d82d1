"""A network at work: scores, answers, explanations, and pictures in bulk.

It may know runs, engines, networks and data; it draws nothing and trains nothing.
"""
