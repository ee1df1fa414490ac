"""Volumes and small files on a disk or in a bucket: one store from a URL, and what lies in it."""
