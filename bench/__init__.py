"""`make bench`: measure what the bridge costs, beside what reading alone costs, in one run on one machine.

    __main__        the command line: run the steps, keep their results, print the tables
    plan            what is measured, and in which order
    scale           how much is measured
    stage           the broker, sinks and topics that the steps of a run share
    progress        show how far the run has come
    environment/    what a measurement needs: broker, topics, events, sink, processes
    programs/       what runs as a process of its own: the sink, its load generator, the reference lines, and
                    the bridge in two variants (its extras replaced by nothing, its parts timed)
    measurements/   one file for each thing that is measured
    report/         figures, goals, tables and charts, out of the results' JSON file alone

docs/performance.md and one table of docs/how-to/kubernetes.md are generated from that JSON file.
"""
