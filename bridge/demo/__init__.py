"""`aep-bridge demo`: the whole bridge between an in-process Kafka (`mock_cluster`) and a local AEP.

`demo` produces `samples`, runs the same service that `run` runs, and accounts for every event in a `report`.
"""
