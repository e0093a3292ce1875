"""Tasks of a hand-made Redis queue, moved into this one: `python -m singleton_service.background.migrate`.

It lies beside the task queue, which it uses and which knows nothing of it: the day the last old queue is gone, this
folder can go, too.
"""
