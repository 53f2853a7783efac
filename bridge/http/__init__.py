"""Connections, TLS, proxies, DNS, OAuth: the only folder with httpx and client sockets."""
