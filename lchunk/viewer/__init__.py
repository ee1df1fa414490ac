"""Show a dataset in Neuroglancer, served from one local port without the internet."""
