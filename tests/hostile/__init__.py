"""Bad input and hostile peers: what the bridge makes of them."""
