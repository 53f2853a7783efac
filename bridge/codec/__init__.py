"""Bytes in, bytes out, pure: what a record is, where it goes, what a request looks like, and what AEP's answer says."""
