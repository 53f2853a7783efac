"""`make bench`: what the bridge costs, against what reading alone costs, in one run on one machine. `docs/performance.md` is made of its JSON file.

__main__ ─ plan ─┬─ machine    a real broker, filled topics, the machine's description
├─ drain      one run: a whole process empties a topic          ┬─ sink       a process that answers 207
├─ reference  reading alone; reading, checking, splicing         ├─ bare       the same bridge, its extras switched off
├─ latency, scaling, startup, quota                              └─ process    CPU and memory out of /proc
└─ report     table, plots (SVG), docs/performance.md
"""
