"""A dataset in Neuroglancer, from one local port, without the internet."""
