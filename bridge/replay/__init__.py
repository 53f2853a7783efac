"""Dead letters: read them, group them by what is wrong, and deliver them again. Nothing here deletes or
changes one.

A replay reads the dead-letter topics up to where they end now (`reading`), decides once for each source
record what becomes of it (`plan`), makes sure that no other replay runs (`lock`), and then delivers:
through the engine (`source`) or back to the source topics. What is delivered is marked (`marks`), so that
no later replay delivers it again.
"""
