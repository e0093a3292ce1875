"""Background work: settings, the engine behind the queue, tasks, workers and schedules."""
