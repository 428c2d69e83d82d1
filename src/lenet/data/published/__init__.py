"""The data sets that lenet knows by name: which there are, where they are, how they are fetched.

Kept here: the catalog, the search on this machine, downloads with their limits, digests, and the
bundled digits.  It may know `files` and `pictures`, and nothing of own data.
"""
