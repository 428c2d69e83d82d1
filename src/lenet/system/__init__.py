"""The ground that every room stands on: files, locks, signals, tasks, random streams, the machine.

Kept here: what any program might need.  It may know the error tree alone, and nothing of networks
or pictures.
"""
