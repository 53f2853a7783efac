"""What the engineer on call uses: the status page in a real browser, and the commands on a real broker."""
