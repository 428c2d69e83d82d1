"""The ground that every room stands on: files, locks, signals, tasks, random streams, the machine.

It knows nothing of networks or pictures; of lenet it imports the error tree alone.
"""
