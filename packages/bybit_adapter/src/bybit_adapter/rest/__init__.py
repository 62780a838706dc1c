"""The calls of the REST API, to be waited for or to be awaited."""
