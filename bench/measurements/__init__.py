"""One file for each thing that is measured.

Each measurement returns one dict of figures for the JSON file.
"""
