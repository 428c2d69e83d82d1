"""One self-contained C file of a network, in floats or in integers, and what it must answer."""
