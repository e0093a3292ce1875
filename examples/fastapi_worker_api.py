"""A web application that hands work to its own background workers.

    python examples/fastapi_worker_api.py [PORT]  # then, in another terminal:
    curl -X POST http://127.0.0.1:8000/tasks -H 'content-type: application/json' \
         -d '{"name": "count_words", "payload": {"text": "to be or not to be"}}'
    curl http://127.0.0.1:8000/tasks/ID
    curl http://127.0.0.1:8000/stats

The router brings POST /tasks, GET /tasks/{id} and GET /stats, and starts and stops workers and scheduler with the
application. Open http://127.0.0.1:8000/docs to try them in a browser.
"""

from __future__ import annotations

import sys
from typing import Any

import uvicorn
from fastapi import FastAPI

from services.fastapi import router
from services.task_queue import task

app = FastAPI(title="Background work")
app.include_router(router)


@task(max_retries=5, retry_delay_seconds=2)
def count_words(payload: dict[str, Any]) -> dict[str, int]:
    """Count the words of a text, and the different ones among them."""
    words = str(payload["text"]).lower().split()
    return {"words": len(words), "different": len(set(words))}


@app.post("/count")
def count(text: str) -> dict[str, str]:
    """Enqueue from a handler of your own."""
    return {"task_id": count_words.enqueue(text=text).id}


if __name__ == "__main__":
    # This machine only: whoever reaches POST /tasks can run every task there is.
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]) if len(sys.argv) > 1 else 8000)
