"""When the API is asked, what, and what becomes of the answer."""
