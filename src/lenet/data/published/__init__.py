"""The data sets that lenet knows by name: which there are, where they are, how they are fetched.

It may know `files` and `pictures`, and nothing of own data.
"""
