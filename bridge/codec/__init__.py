"""Bytes to values and back, without a client, a clock or a thread.

What a record is, which route it takes, what a request looks like, and what AEP's response says.
"""
