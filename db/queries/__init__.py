"""One module a noun, one function a question; the only SQL outside the models."""
