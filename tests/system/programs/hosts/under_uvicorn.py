"""A web application as the FastAPI page shows it."""

from fastapi import FastAPI

from services.fastapi import router
from tests.system.programs.hosts import hosted  # noqa: F401 - registers the handler

app = FastAPI()
app.include_router(router)
