"""`make bench`: what the bridge costs, against what reading alone costs, in one run on one machine. `docs/performance.md` is made of its JSON file, and a table of `docs/how-to/kubernetes.md`.

__main__ ─ plan ─┬─ machine    a real broker, filled topics, the machine's description
                 ├─ drain      one run: a whole process empties a topic          ┬─ sink       a process that answers 207
                 ├─ reference  reading alone; reading, checking, splicing        ├─ bare       the same bridge, its extras switched off
                 ├─ profile    where each microsecond goes                       ├─ seams      the same bridge, its rooms' doors timed
                 ├─ latency, paced, scaling, startup, quota                      ├─ flood      a load that costs nothing, for the sink
                 │                                                               ├─ farend     the sink, as it is given orders
                 │                                                               └─ process    CPU and memory of a process
                 └─ store      the JSON file
report ─ tables, goals ─ figures, curves      and the plots: plot, plot_curves. All out of the JSON file alone
"""
