"""The studio over HTTP: FastAPI under /api, and the pages beside it. Loads neither torch nor the jobs."""
