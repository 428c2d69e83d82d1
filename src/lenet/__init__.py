"""LeNet, finished."""
