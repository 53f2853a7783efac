"""Bad input and hostile neighbours: what the bridge makes of them."""
