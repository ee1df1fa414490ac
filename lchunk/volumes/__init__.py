"""Volumes and small files on a disk or in a bucket: a store is opened by its URL, and holds layers and files."""
