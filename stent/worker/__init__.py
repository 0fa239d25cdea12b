"""What does: leases, turns, activities, timers, wake-ups. All the I/O of the engine is here.

Each file either decides (pure functions and state over plain data: `planning` with `draft`, `effects`, `starting`,
`answers` and `offers`; `adoption`, `placement`, `held`, `outcomes`, `items`, `slots`, `alarms`) or does (threads, the
event loop, the store: `committer`, `link`, `runs`, `local`, `shared`, `bodies`, `liveness`, `worker`).
"""
