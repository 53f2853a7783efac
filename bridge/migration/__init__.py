"""From Adobe's sink connector, or from nothing, to a configuration of ours: what `aep-bridge init` does.

`connector` translates the connector's settings, `offsets` takes over where its group stands,
`configuration_file` writes the result, or a first configuration, with comments.
"""
