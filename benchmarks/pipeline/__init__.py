"""The cost of a chunk in a whole pipeline of small chunks, from a thousand to a hundred thousand of them."""
