"""The pipeline: turns a question into an answer with citations."""
