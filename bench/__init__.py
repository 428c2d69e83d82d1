"""Side-by-side measurements of lenet and of what else trains and runs the same network."""
