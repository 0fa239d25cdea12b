"""What decides: an orchestrator is re-executed against its history; events in, commands out.

Nothing here does I/O, reads a clock, starts a thread, draws a random number or logs. The worker, the debugger, the
shadow check and the tests all use the one door, `stent.replay.execution.Execution`.
"""
